package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// check runs docent serve --check and returns its exit code, standard output and standard error.
func check(t *testing.T, environ map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), env{args: append([]string{"serve", "--check"}, args...), stdout: &out, stderr: &errs,
		getenv: func(name string) string { return environ[name] }})
	return code, out.String(), errs.String()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck_ZooCfg(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "myid", "2\n")
	cfg := write(t, dir, "zoo.cfg", `# an ensemble of ZooKeeper's
tickTime=2000
initLimit=10
syncLimit = 5
dataDir=`+dir+`
clientPort=2182
maxClientCnxns=60
4lw.commands.whitelist=srvr, mntr
zookeeper.extendedTypesEnabled=true
admin.serverPort=8088
maxSessionTimeout=30000
someFutureKey=1
server.1=10.0.0.1:2888:3888
server.2=10.0.0.2:2888:3888:participant;2182
server.3=10.0.0.3:2888:3888
`)
	code, out, errs := check(t, nil, "--config", cfg, "--max-connections-per-address", "7")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{
		"id=2", "data=" + filepath.Join(dir, "docent"), "listen=0.0.0.0:2182", "peers=1=10.0.0.1:2888,2=10.0.0.2:2888,3=10.0.0.3:2888",
		"min-session-timeout=4s", "max-session-timeout=30s", "max-connections-per-address=7", "4lw-whitelist=srvr, mntr",
		"extended-types=true", "admin-listen=127.0.0.1:8088", "tick=100ms", "max-frame=1048575",
	} {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
	for _, want := range []string{"zoo.cfg:3: initLimit is not used", "zoo.cfg:4: syncLimit is not used", "zoo.cfg:12: someFutureKey is not used", "zoo.cfg:14: server.2"} {
		if strings.Count(errs, want) != 1 {
			t.Errorf("want one warning %q in\n%s", want, errs)
		}
	}
}

func TestCheck_FlagBeforeEnvironmentBeforeFile(t *testing.T) {
	dir := t.TempDir()
	cfg := write(t, dir, "zoo.cfg", "clientPort=1\nclientPortAddress=127.0.0.1\ndataDir="+dir+"\nenforceQuota=true\n")
	environ := map[string]string{"DOCENT_LISTEN": "127.0.0.1:2", "DOCENT_MAX_FRAME": "4096", "DOCENT_CONFIG": "ignored by the flag"}
	_, out, errs := check(t, environ, "--config", cfg, "--listen", "127.0.0.1:3")
	for _, want := range []string{"listen=127.0.0.1:3", "max-frame=4096", "enforce-quota=true"} {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("no line %q in\n%s%s", want, out, errs)
		}
	}
	delete(environ, "DOCENT_CONFIG")
	if _, out, errs = check(t, environ, "--config", cfg); !strings.Contains(out, "listen=127.0.0.1:2\n") {
		t.Errorf("the environment does not come before the file:\n%s%s", out, errs)
	}
}

func TestCheck_WhatIsWrongIsNamed(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) []string { return []string{"--config", write(t, t.TempDir(), "zoo.cfg", text)} }
	for want, args := range map[string][]string{
		"no such file":                              {"--config", filepath.Join(dir, "missing")},
		"zoo.cfg:2: \"what\" is not key=value":      file("tickTime=1\nwhat\n"),
		"zoo.cfg:1: tickTime=x: want a number":      file("tickTime=x\n"),
		"zoo.cfg:1: server.1=a: want HOST:PORT:PO":  file("server.1=a\n"),
		"the number of this member":                 file("dataDir=" + dir + "\nserver.1=a:1:2\nserver.2=b:1:2\n"),
		"want a file in PEM":                        file("ssl.keyStore.location=/keys.jks\n"),
		"--tls-client-auth \"maybe\"":               {"--tls-client-auth", "maybe"},
		"--tls-cert and --tls-key belong together":  {"--tls-cert", "x"},
		"an address for TLS (:1) needs a certifica": {"--secure-listen", ":1"},
		"want 1 to 254":                             {"--id", "300"},
		"--max-frame \"0\": not a value":            {"--max-frame", "0"},
		"want debug, info, warn or error":           {"--log-level", "loud"},
	} {
		code, out, errs := check(t, nil, args...)
		if code != exitStart || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: exit %d, %q, %q, want exit 2 and one line with %q", args, code, out, errs, want)
		}
	}
	if code, _, errs := check(t, map[string]string{"DOCENT_TICK": "soon"}); code != exitStart || !strings.Contains(errs, "DOCENT_TICK=\"soon\" in the environment") {
		t.Errorf("exit %d, %q", code, errs)
	}
}
