package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// importLine is the longest line of an export: a node of maxData bytes in base64, and its ACL.
const importLine = maxData/3*4 + 1<<20

// readExport gives the records of an export to yield.
func readExport(r io.Reader, yield func(exportRecord) error) (count exportCount, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var buffer []byte
	for number := 1; ; number++ {
		buffer, err = readLine(in, buffer[:0])
		if errors.Is(err, io.EOF) {
			if number == 1 {
				return count, usagef("stdin is empty: want what docent export wrote")
			}
			return count, fmt.Errorf("line %d: the export is cut off here; what came before is imported", number)
		}
		if err != nil {
			return count, fmt.Errorf("line %d: %w", number, err)
		}
		if number == 1 {
			err = checkHead(buffer)
		} else {
			var line struct {
				exportRecord
				exportTail
			}
			if err = json.Unmarshal(buffer, &line); err == nil && line.End != nil {
				return *line.End, nothingBehind(in, number+1)
			}
			if err == nil {
				err = checkRecord(&line.exportRecord)
			}
			if err != nil {
				err = usageError(err)
			} else {
				err = yield(line.exportRecord)
			}
		}
		if err != nil {
			return count, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// readLine reads a line into b.
func readLine(in *bufio.Reader, b []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, io.EOF) && len(b) > 0:
			return b, nil // what is cut off in the middle of a line is no JSON, or lacks the end
		case !errors.Is(err, bufio.ErrBufferFull):
			return b, err
		case len(b) > importLine:
			return b, usagef("longer than any node: this is no export")
		}
	}
}

func checkHead(line []byte) error {
	var head exportHead
	if err := json.Unmarshal(line, &head); err != nil || head.Export == 0 {
		return usagef("this is no export of docent's")
	}
	if head.Export != exportFormat {
		return usagef("an export of format %d, where %d is known here", head.Export, exportFormat)
	}
	return nil
}

func nothingBehind(in *bufio.Reader, number int) error {
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return usagef("line %d: something comes behind the end of the export", number)
	}
	return nil
}
