package matrix

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Record is what passed: checks of a client against a server, or a recipe that two libraries took part in on one path.
type Record struct {
	Server string `json:"server"`       // "docent 1", "Apache ZooKeeper 3.8.0"
	At     string `json:"at,omitempty"` // the member of an ensemble; the cell is the sum over all

	Client  string `json:"client,omitempty"` // "kazoo"
	Version string `json:"version,omitempty"`
	Checks  int    `json:"checks,omitempty"` // so many passed and none failed

	Recipe string `json:"recipe,omitempty"` // "lock"
	A      string `json:"a,omitempty"`      // the libraries, in the order of the alphabet but for docent, which is first
	B      string `json:"b,omitempty"`
}

// Env names the file that records are appended to; without it, nothing is recorded.
const Env = "DOCENT_MATRIX"

// Append adds a record to the file that the environment names.
func Append(r Record) (err error) {
	path := os.Getenv(Env)
	if path == "" {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", Env, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(append(line, '\n')) // one write: lines of several programs do not mix
	return err
}

// Read returns the records of a file. Of two about the same the later one counts: a test may have been repeated.
func Read(path string) ([]Record, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("nothing was recorded: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Record
	at := make(map[Record]int)
	for in := bufio.NewScanner(f); in.Scan(); {
		var r Record
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		key := r
		key.Checks = 0
		if i, ok := at[key]; ok {
			all[i] = r
			continue
		}
		at[key] = len(all)
		all = append(all, r)
	}
	return all, nil
}
