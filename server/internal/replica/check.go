package replica

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/docent-io/docent/server/internal/storage"
)

// Check verifies the data folder of a member that does not run, and changes nothing. Each snapshot's machine part is
// given to machine, each command in the log to command; their errors count as damage. See storage.Check.
func Check(dir string, machine func(io.Reader) error, command func([]byte) error) (storage.Report, error) {
	r, err := storage.Check(dir, func(r io.Reader) error {
		br := bufio.NewReaderSize(r, 256<<10)
		if _, _, err := readHead(br); err != nil {
			return err
		}
		if err := machine(br); err != nil {
			return err
		}
		if _, err := br.ReadByte(); err != io.EOF {
			return fmt.Errorf("bytes behind the end: %w", errMalformed)
		}
		return nil
	}, func(e *raft.Log) error {
		if e.Type != raft.LogCommand {
			return nil
		}
		return checkEntry(e.Data, command)
	})
	if differs := foundDifferent(r.Stable[string(differsKey())]); differs != nil {
		err = errors.Join(err, fmt.Errorf("data folder %s: %w", dir, differs))
	}
	return r, err
}

func checkEntry(entry []byte, command func([]byte) error) error {
	_, rest, err := cutEntry(entry)
	for err == nil && len(rest) > 0 {
		var p packet
		if p, rest, err = cutBatch(rest); err != nil {
			break
		}
		for cmds, i := p.cmds, 0; i < p.count && err == nil; i++ {
			var cmd []byte
			cmd, cmds = cutCommand(cmds)
			err = command(cmd)
		}
	}
	return err
}
