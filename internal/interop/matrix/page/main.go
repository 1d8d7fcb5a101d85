// Page writes docs/interop.md from what the tests of internal/interop recorded: page -o FILE RECORDS. Without -o it prints
// the page, which fails where a cell would be empty; with -slice, one member may stand for an ensemble.
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
	slice := flag.Bool("slice", false, "the records are of a slice of the run")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: page [-o FILE] RECORDS")
	}
	records, err := matrix.Read(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	page, err := matrix.Page(records, *slice)
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
