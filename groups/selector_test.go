package groups

import (
	"errors"
	"strings"
	"testing"
)

func TestSelect(t *testing.T) {
	in := Instance{
		Service: "appmgr", ID: "am-1", Host: "10.0.0.1", Port: 9930, Version: "1.6.2", Flavor: "slurm", Load: 0.35,
		Status: Up, Meta: map[string]string{"cluster": "bigred", "cores": "128", "note": "a, b", "odd": `x"=y`},
	}
	for expr, want := range map[string]bool{
		"":                true,
		"  ":              true,
		"flavor=slurm":    true,
		"flavor == slurm": true,
		"flavor=aws":      false,
		"flavor!=aws":     true,
		"flavor=slurm, version>=1.5, load<0.8, meta.cluster=bigred": true,
		"flavor=slurm,version>=1.7":                                 false,
		"version=1.6.2":                                             true,
		"version=1.6":                                               false,
		"version>1.6":                                               true,
		"version<1.10":                                              true,
		"version<=2.0.0-rc.1":                                       true,
		"load<=0.35":                                                true,
		"load>0.35":                                                 false,
		"port=9930":                                                 true,
		"host=10.0.0.1, id=am-1, status=up":                         true,
		"status!=up":                                                false,
		"meta.cores>=64":                                            true,
		"meta.cores<64":                                             false,
		"meta.cluster>3":                                            false, // not a number: no order holds
		"meta.rack!=r1":                                             true,  // it has none
		"meta.rack=r1":                                              false,
		"meta.rack>0":                                               false,
		`meta.note="a, b"`:                                          true,
		`meta.odd="x\"=y"`:                                          true,
		"\tmeta.cluster = bigred ":                                  true,
	} {
		s, err := parseSelector(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		} else if got := s.matches(in); got != want {
			t.Errorf("%s: matches = %v, want %v", expr, got, want)
		}
	}
}

func TestSelectByVersionOfAnInstanceWithout(t *testing.T) {
	for expr, want := range map[string]bool{"version>=0": false, "version<9": false, "version!=1.0": true} {
		s, err := parseSelector(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.matches(Instance{Version: "nightly"}); got != want {
			t.Errorf("%s: matches = %v, want %v", expr, got, want)
		}
	}
}

// Every error points at the character where the selection goes wrong.
func TestSelectErrors(t *testing.T) {
	for _, c := range []struct {
		expr string
		pos  int
		msg  string
	}{
		{"flavor", 6, "one of ="},
		{"flavor slurm", 7, "one of ="},
		{"flavor=", 7, "a value"},
		{"flavor=, load<1", 7, "a value"},
		{"flavor=slurm,", 13, "a field"},
		{"flavor=slurm,,load<1", 13, "a field"},
		{"=slurm", 0, "a field"},
		{"flavour=slurm", 0, "no field"},
		{"load<0.8, colour=red", 10, "no field"},
		{"flavor>slurm", 6, "no order"},
		{"load<high", 5, "not a number"},
		{"load<NaN", 5, "not a number"},
		{"version>=new", 9, "not a version"},
		{"meta.=x", 5, "the name"},
		{"meta.cores>many", 11, "not a number"},
		{`flavor="slurm`, 7, "does not end"},
		{`flavor="slurm\`, 7, "does not end"},
		{`flavor="slurm\"`, 7, "does not end"},
		{`meta.dir="C:\jobs", load<1`, 12, "no such escape"},
		{"meta.note=\"two\nlines\"", 14, "line break"},
		{"version=>1.5", 8, "quoted"},
		{"flavor!slurm", 6, "one of ="},
		{"flavör=slurm", 0, "no field"},
		{`flavor="slurm" aws`, 15, "a comma"},
		{"flavor=a=b", 8, "quoted"},
	} {
		_, err := parseSelector(c.expr)
		var bad *SelectError
		if !errors.As(err, &bad) {
			t.Errorf("%s: error %v, want a SelectError", c.expr, err)
			continue
		}
		if bad.Pos != c.pos || !strings.Contains(bad.Msg, c.msg) {
			t.Errorf("%s: at %d: %s; want at %d: …%s…", c.expr, bad.Pos, bad.Msg, c.pos, c.msg)
		}
	}
}

func TestSelectErrorText(t *testing.T) {
	_, err := parseSelector("flavor=slurm, load<high")
	want := `select "flavor=slurm, load<high": column 20, at "high": "high" is not a number`
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func FuzzSelect(f *testing.F) {
	for _, s := range []string{"", "flavor=slurm, version>=1.5", `meta.a="x\"y",load<1`, "a", "=", ",", `"`, "meta.=\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := parseSelector(expr)
		var bad *SelectError
		if err != nil && (!errors.As(err, &bad) || bad.Pos < 0 || bad.Pos > len(expr) || bad.Error() == "") {
			t.Errorf("parseSelector(%q): %#v", expr, err)
		}
		s.matches(Instance{}) // must not panic
	})
}
