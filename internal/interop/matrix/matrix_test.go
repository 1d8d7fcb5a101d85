package matrix_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/interop/matrix"
)

// full is what a run without failure records.
func full() []matrix.Record {
	var all []matrix.Record
	for _, at := range []struct{ server, member string }{
		{"docent 1", ""}, {"docent 3", "1"}, {"docent 3", "2"}, {"docent 3", "3"}, {"Apache ZooKeeper 3.8.0", ""},
	} {
		for _, client := range []string{"docent", "Java", "Curator", "kazoo", "go-zookeeper", "zkCli", "C"} {
			all = append(all, matrix.Record{Server: at.server, At: at.member, Client: client, Checks: 20})
		}
	}
	for _, m := range matrix.Meetings() {
		for _, server := range []string{"docent 1", "Apache ZooKeeper 3.8.0"} {
			all = append(all, matrix.Record{Server: server, Recipe: m.Recipe, A: m.A, B: m.B})
		}
	}
	return all
}

// Every record is needed: without any one of them there is no page.
func TestPage_NoCellIsEmpty(t *testing.T) {
	if _, err := matrix.Page(full(), false); err != nil {
		t.Fatal(err)
	}
	for i, r := range full() {
		all := full()
		if _, err := matrix.Page(append(all[:i], all[i+1:]...), false); err == nil {
			t.Errorf("there is a page without %+v", r)
		}
	}
	few := full()
	few[3].Checks = matrix.AtLeast - 1
	if _, err := matrix.Page(few, false); err == nil || !strings.Contains(err.Error(), "19 checks") {
		t.Errorf("with 19 checks: %v", err)
	}
	if _, err := matrix.Page(append(full(), matrix.Record{Server: "docent 1", Recipe: "lock", A: "x", B: "y"}), false); err == nil {
		t.Error("there is a page with a meeting nobody knows")
	}
	other := matrix.Record{Server: "docent 1", Client: "kazoo", Version: "9.9", Checks: 30}
	if _, err := matrix.Page(append(full(), other), false); err == nil {
		t.Error("there is a page with an empty cell of another version")
	}
}

// In a slice, one member stands for all; but every client must have been there.
func TestPage_Slice(t *testing.T) {
	one := slices.DeleteFunc(full(), func(r matrix.Record) bool { return r.At == "1" || r.At == "3" })
	if _, err := matrix.Page(one, true); err != nil {
		t.Error(err)
	}
	if _, err := matrix.Page(one, false); err == nil || !strings.Contains(err.Error(), "kazoo at docent 3: checked through 1 members of 3") {
		t.Errorf("a page of one member: %v", err)
	}
	none := slices.DeleteFunc(one, func(r matrix.Record) bool { return r.At == "2" && r.Client == "C" })
	if _, err := matrix.Page(none, true); err == nil {
		t.Error("there is a page without the C client at docent 3")
	}
}

// The members of an ensemble are summed up; a repeated test counts once.
func TestPage_Sums(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records")
	t.Setenv(matrix.Env, file)
	for _, r := range full() {
		if err := matrix.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []string{"a", "b", "b"} {
		if err := matrix.Append(matrix.Record{Server: "docent 3", At: at, Client: "kazoo", Checks: 700}); err != nil {
			t.Fatal(err)
		}
	}
	records, err := matrix.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	page, err := matrix.Page(records, false)
	if err != nil || !strings.Contains(page, "| kazoo | 20 | 1460 | 20 |\n") {
		t.Errorf("kazoo's row is not 20, 1420, 20: %v\n%s", err, page)
	}
}
