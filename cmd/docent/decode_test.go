package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// FuzzZooCfg reads anything as a zoo.cfg: what is taken becomes flags that the server's command has, and the timeouts are those
// of the ticks.
func FuzzZooCfg(f *testing.F) {
	f.Add("# an ensemble\ntickTime=2000\ndataDir=/none\nclientPort = 2182\nserver.1=a:1:2\nautopurge.purgeInterval=1\n")
	f.Add("zookeeper.clientPort:2181\nclientPortAddress=::1\nssl.keyStore.location=/a.pem\nadmin.enableServer=false")
	f.Add("tickTime=922337203685477580")
	f.Add("server.1=[::1]:1:2:observer;2181\nserver.01=a:1:2")
	f.Fuzz(func(t *testing.T, text string) {
		z := &zooFile{name: "zoo.cfg", keys: make(map[string]string), lines: make(map[string]int), flags: make(map[string]string)}
		if z.parse(text) != nil {
			return
		}
		if z.keys["dataDir"] != "" {
			z.keys["dataDir"] = "/none" // no file is read
		}
		if z.translate() != nil {
			return
		}
		fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		o := newServeOptions(fs)
		for name, v := range z.flags {
			if fs.Lookup(name) == nil {
				t.Fatalf("%q becomes --%s, which there is not", text, name)
			}
			if fs.Set(name, v) != nil {
				return
			}
		}
		if _, _, err := parsePeers(o.peers); err != nil {
			return
		}
		tick, ok, err := z.number("tickTime")
		if !ok {
			tick = 3000
		}
		if _, given := z.keys["minSessionTimeout"]; err != nil || !given && o.cfg.MinSessionTimeout != 2*time.Duration(tick)*time.Millisecond {
			t.Errorf("tickTime=%s becomes a shortest timeout of %v", z.keys["tickTime"], o.cfg.MinSessionTimeout)
		}
	})
}

// FuzzPeers reads anything as the addresses of the members.
func FuzzPeers(f *testing.F) {
	f.Add("1=a:1,2=[::1]:2:observer")
	f.Add("1=a:1, 1=b:1")
	f.Add("=:,18446744073709551616=a:1")
	f.Fuzz(func(t *testing.T, text string) {
		peers, observers, err := parsePeers(text)
		if err != nil {
			return
		}
		for _, id := range observers {
			if _, ok := peers[id]; !ok {
				t.Errorf("%d observes and is no member of %v", id, peers)
			}
		}
		var again []string
		for id, addr := range peers {
			if slices.Contains(observers, id) {
				addr += ":observer"
			}
			again = append(again, fmt.Sprintf("%d=%s", id, addr))
		}
		if p, o, err := parsePeers(strings.Join(again, ",")); err != nil || len(p) != len(peers) || len(o) != len(observers) {
			t.Errorf("%q comes back as %v, %v", text, p, err)
		}
	})
}

// FuzzExport imports anything: what is taken as records, up to the end that says how many they are, comes back the same when it
// is exported again.
func FuzzExport(f *testing.F) {
	f.Add([]byte(`{"docent-export":1,"root":"/app"}` + "\n" + `{"path":"/","data":null}` + "\n" +
		`{"path":"/a","data":"eA==","acl":["digest:u:h:rw"],"ttl":"1h30m","counter":-1}` + "\n" + `{"end":{"nodes":2}}` + "\n"))
	f.Add([]byte(`{"docent-export":1}` + "\n" + `{"path":"/a","container":true,"ttl":"1h"}` + "\n"))
	f.Add([]byte(`{"docent-export":2}`))
	f.Add([]byte(`{"docent-export":1}` + "\n" + `{"path":"/../..","data":"x"}` + "\n" + `{"end":{}}` + "\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, count, err := exported(t, b)
		if err != nil {
			return
		}
		var again bytes.Buffer
		lines := json.NewEncoder(&again)
		lines.Encode(exportHead{Export: exportFormat})
		for _, r := range records {
			if err := lines.Encode(r); err != nil {
				t.Fatalf("%+v cannot be exported: %v", r, err)
			}
		}
		lines.Encode(exportTail{&count})
		back, countBack, err := exported(t, again.Bytes())
		if err != nil || countBack != count {
			t.Fatalf("the export is refused: %v, or its count %v is %v", err, count, countBack)
		}
		was, _ := json.Marshal(records)
		if is, _ := json.Marshal(back); !bytes.Equal(is, was) {
			t.Errorf("%s comes back as %s", was, is)
		}
	})
}

// exported reads an export; of each record it asks what an import does.
func exported(t *testing.T, b []byte) (records []exportRecord, count exportCount, err error) {
	count, err = readExport(bytes.NewReader(b), func(r exportRecord) error {
		for _, plain := range []bool{false, true} {
			if _, err := r.options(plain); err != nil {
				t.Errorf("a record of which nobody knows how to create it: %+v: %v", r, err)
			}
		}
		records = append(records, r)
		return nil
	})
	return records, count, err
}

// FuzzACLText reads anything as an ACL: what is taken comes back the same from its own text, alone as in an export.
func FuzzACLText(f *testing.F) {
	f.Add("world:anyone:cdrwa,digest:u:h=:r")
	f.Add("ip:::1:r")
	f.Add("x509:CN=a,OU=b:rw,:,::")
	f.Fuzz(func(t *testing.T, text string) {
		acl, err := parseACL([]string{text})
		if err != nil {
			return
		}
		texts := formatACL(acl)
		if again, err := parseACL(texts); err != nil || !slices.Equal(again, acl) {
			t.Errorf("%v comes back as %v, %v", acl, again, err)
		}
		for i, text := range texts {
			if a, ok := parseEntry(text); !ok || a != acl[i] {
				t.Errorf("%v comes back from an export as %v", acl[i], a)
			}
		}
	})
}

// FuzzWords splits anything into words, as the shell does, and looks where they lead: quoted, they are the same words again, and
// a path that they make is one.
func FuzzWords(f *testing.F) {
	f.Add(`create /a 'it''s' "x\"y" \`, "/a/b")
	f.Add("get ../..//./x\t#", "/")
	f.Add(`"`, "/a")
	f.Fuzz(func(t *testing.T, line, cwd string) {
		if zpath.Validate(cwd) != nil {
			cwd = "/"
		}
		words, last, err := scanWords(line)
		if last < 0 || last > len(line) {
			t.Fatalf("the last word begins at %d of %d", last, len(line))
		}
		at := attachment{cwd: cwd}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = quoteWord(w)
			if p := at.path(w); p != "/" && zpath.Validate(p) != nil && zpath.Validate("/"+strings.Trim(w, "/")) == nil {
				t.Errorf("%q from %q leads to %q", w, cwd, p)
			}
			_ = checkName("PATH", "PATH", w)
			if checkName("NAME", "NAME", w) == nil && zpath.Validate("/a/"+w) != nil {
				t.Errorf("%q is taken for a name", w)
			}
		}
		if again, e := splitWords(strings.Join(quoted, " ")); err == nil && (e != nil || !slices.Equal(again, words)) {
			t.Errorf("%q comes back as %q, %v", words, again, e)
		}
		_ = emptyExpansion(append([]string{"sh", "-c"}, words...), func(string) string { return "" })
	})
}

// FuzzPairs reads anything as what is posted in words or in a line: what is taken is JSON, and every field of it can be shown.
func FuzzPairs(f *testing.F) {
	f.Add("addr=a:1 n=5 big=9007199254740993 list:=[1,2] text:=\"x\"")
	f.Add(`{"a":null,"b":{"c":1e400}}`)
	f.Add("a= a:=1")
	f.Add("\xff=\x00")
	f.Fuzz(func(t *testing.T, line string) {
		if line = strings.TrimSpace(line); line == "" {
			return
		}
		value, err := parseLine(line)
		if err != nil {
			return
		}
		if !json.Valid(value) {
			t.Fatalf("%q is posted as %q", line, value)
		}
		for _, f := range fieldsOf(value) {
			if s := legible(f.key) + "=" + legible(f.text); printable(s) != s {
				t.Errorf("%q shows %q", line, s)
			}
		}
		if _, err := decodeExactly(value); err != nil {
			t.Errorf("%s cannot be given to a template: %v", value, err)
		}
	})
}

// FuzzNode takes anything for the node of somebody in a recipe, and for a node alone: it can be shown, as JSON and on a terminal.
func FuzzNode(f *testing.F) {
	f.Add("_c_e7c75a00-a67e-4401-988c-835cb028acdd-lock-0000000012", []byte(`{"id":"a","note":"n","acked":true,"since":"2026-01-02T03:04:05Z"}`), int64(1000))
	f.Add("_c_6d30b8b06d30b8b06d30b8b06d30b8b0-lease-0000000001", []byte(`{"weight":2,"slots":[0,1]}`), int64(math.MaxInt64))
	f.Add("6d30b8b06d30b8b06d30b8b06d30b8b0__lock__-2147483648", []byte("10.0.0.1\x1b[2J"), int64(-1))
	f.Add("one", []byte(`{"name":"s","id":"1","address":"a","port":1,"serviceType":"DYNAMIC","payload":{"status":"up"}}`), int64(0))
	f.Fuzz(func(t *testing.T, name string, data []byte, ms int64) {
		n := client.Node{Path: "/x/" + name, Data: data, Stat: client.Stat{Czxid: 5, Ctime: ms, Mtime: ms, EphemeralOwner: ms, NumChildren: int32(ms), Cversion: int32(ms)}}
		p, _ := recognise(name)
		line, strangers := lineUp([]string{name, "lock-0000000000"})
		if len(line)+len(strangers) != 2 || len(guidOf(name)) > len(name) {
			t.Fatalf("%q stands in %v, and %v do not", name, line, strangers)
		}
		x := &sight{Path: n.Path, Holders: []contender{contenderOf(n, p)}, Members: []contender{memberOf(n, p)}, Stat: nodeStat(n.Stat)}
		x.Kind = lineKind(line)
		x.leaf(data)
		x.Value += memberName(n.Path)
		var b bytes.Buffer
		if err := writeJSON(&b, x); err != nil {
			t.Fatalf("%+v cannot be shown: %v", x, err)
		}
		if i := bytes.IndexFunc(bytes.TrimSuffix(b.Bytes(), []byte("\n")), unicode.IsControl); i >= 0 {
			t.Errorf("JSON with the character %q: %q", b.Bytes()[i], b.Bytes())
		}
		if s := printableText(x.Value); strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
			t.Errorf("%q commands the terminal", s)
		}
	})
}

// FuzzAnswers takes anything for what a server says of itself, in words and in JSON: it can be shown.
func FuzzAnswers(f *testing.F) {
	f.Add(" /127.0.0.1:1[1](queued=0,sid=0x1,est=1780000000000,to=30000,lresp=1780000000001)\n", `{"connections":[{"remote_socket_address":"a","session_id":1,"established":1}]}`)
	f.Add("Latency min/avg/max: 0/0.5/9\nZxid: 0x10\nMode: leader\nNode count: 5\n", `{"avg_latency":0.5,"server_state":"leader"}`)
	f.Add(" /a[1](sid=1,est=9223372036854775807,lresp=9223372036854775807)\nLatency min/avg/max: 0/NaN/Inf", `{"session_id":"0xffffffffffffffff"}`)
	f.Add("zk_avg_latency\t+Inf\nzk_uptime\t-0x8000000000000000", `{"connections":[{"session_id":1,"last_response_time":-9223372036854775808}]}`)
	f.Fuzz(func(t *testing.T, words, text string) {
		now := time.UnixMilli(1780000000000)
		var b bytes.Buffer
		shown := func(v any) {
			t.Helper()
			if err := writeJSON(&b, v); err != nil {
				t.Errorf("%+v cannot be shown: %v", v, err)
			}
		}
		for _, c := range parseConnections(words, "s", 1, now) {
			shown(c)
		}
		h := &health{}
		h.summary(words)
		figures := wordFigures(words)
		h.monitor(figures)
		shown(h)
		var conns struct {
			Connections []connection `json:"connections"`
		}
		if json.Unmarshal([]byte(text), &conns) == nil {
			for _, c := range contactsOf(conns.Connections, "s", 1, now) {
				shown(c)
			}
		}
		var monitor map[string]any
		if json.Unmarshal([]byte(text), &monitor) == nil {
			h := &health{}
			h.monitor(plainFigures(monitor))
			shown(h)
		}
		var id sessionID
		if id.UnmarshalText([]byte(text)) == nil {
			back, err := id.MarshalText()
			var again sessionID
			if err != nil || again.UnmarshalText(back) != nil || again != id {
				t.Errorf("the session %q comes back as %q, %v", text, back, err)
			}
		}
	})
}

// FuzzTemplate prints something through anything as a template. Loops are left out: whoever writes one that has no end waits
// for the end.
func FuzzTemplate(f *testing.F) {
	f.Add("{{.Path}} {{len .Holders}}")
	f.Add("{{with .Holders}}{{(index . 0).ID}}{{end}}")
	f.Add("{{.NoSuch}}{{index .Holders 7}}{{slice .Path 9 2}}")
	x := &sight{Path: "/a", Kind: kindLock, Holders: []contender{{ID: "a", Path: "/a/b"}}}
	f.Fuzz(func(t *testing.T, text string) {
		o := output{format: text}
		if o.check() != nil || o.tmpl == nil {
			return
		}
		for _, word := range []string{"range", "template", "block", "define", "print"} {
			if strings.Contains(text, word) {
				return
			}
		}
		var b bytes.Buffer
		if err := o.template(&b, x); err == nil && !strings.HasSuffix(b.String(), "\n") {
			t.Errorf("%q prints %q", text, b.String())
		}
	})
}
