// Page writes docs/interop.md from what the tests of internal/interop recorded: page -o FILE RECORDS. Without -o it only
// checks that no cell is empty.
package main

import (
	"flag"
	"log"
	"os"

	"github.com/docent-io/docent/internal/interop/matrix"
)

func main() {
	log.SetFlags(0)
	out := flag.String("o", "", "the `file` to write")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: page [-o FILE] RECORDS")
	}
	records, err := matrix.Read(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	page, err := matrix.Page(records)
	if err != nil {
		log.Fatal(err)
	}
	if *out == "" {
		os.Stdout.WriteString(page)
		return
	}
	if err := os.WriteFile(*out, []byte(page), 0o644); err != nil {
		log.Fatal(err)
	}
}
