package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// zooFile is a zoo.cfg being turned into flags: those are the one description of a configuration.
type zooFile struct {
	name  string
	keys  map[string]string
	lines map[string]int
	flags map[string]string
	warn  []string
}

// sameMeaning are the keys whose values are a flag's as they stand.
var sameMeaning = map[string]string{
	"maxClientCnxns": "max-connections-per-address", "maxCnxns": "max-connections", "4lw.commands.whitelist": "4lw-whitelist", "extendedTypesEnabled": "extended-types",
	"reconfigEnabled": "reconfig-enabled", "readonlymode.enabled": "read-only-mode",
	"enforceQuota": "enforce-quota", "jute.maxbuffer": "max-frame", "DigestAuthenticationProvider.superDigest": "super-digest",
}

// milliseconds are the keys whose values are numbers of milliseconds.
var milliseconds = map[string]string{
	"minSessionTimeout": "min-session-timeout", "maxSessionTimeout": "max-session-timeout", "znode.container.checkIntervalMs": "container-interval",
}

// handled are the keys that mean something together with others.
var handled = []string{
	"tickTime", "dataDir", "clientPort", "clientPortAddress", "secureClientPort", "secureClientPortAddress", "admin.enableServer",
	"admin.serverPort", "admin.serverAddress", "ssl.keyStore.location", "ssl.trustStore.location", "ssl.clientAuth",
}

// notNeeded says, for keys of ZooKeeper's that have no meaning here, why.
var notNeeded = map[string]string{
	"initLimit": "a follower that lags is caught up without a limit", "syncLimit": "--election-timeout says when a leader is given up",
	"dataLogDir": "log and snapshots are in one folder, dataDir", "snapCount": "--snapshot-bytes says when a snapshot is taken",
	"autopurge.snapRetainCount": "old snapshots are removed by themselves", "autopurge.purgeInterval": "old snapshots are removed by themselves",
	"electionAlg": "there is one, raft's", "leaderServes": "every member serves", "forceSync": "every write is synced",
	"peerType":     "the server lines say who observes",
	"preAllocSize": "the log's segments have a fixed size", "standaloneEnabled": "one server alone is standalone",
}

var serverKey = regexp.MustCompile(`^server\.(\d+)$`)

// readFile reads the zoo.cfg and sets the flags that were not given.
func (o *serveOptions) readFile(given map[string]bool) error {
	text, err := os.ReadFile(o.file)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	z := &zooFile{name: o.file, keys: make(map[string]string), lines: make(map[string]int), flags: make(map[string]string)}
	if err := z.parse(string(text)); err != nil {
		return err
	}
	if err := z.translate(); err != nil {
		return err
	}
	for name, v := range z.flags {
		if given[name] {
			continue
		}
		given[name] = true
		if err := o.fs.Set(name, v); err != nil {
			return fmt.Errorf("%s: %q for --%s: %w", z.name, v, name, err)
		}
	}
	o.warnings = append(o.warnings, z.warn...)
	return nil
}

// parse reads lines of key=value; # and ! begin comments.
func (z *zooFile) parse(text string) error {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		at := strings.IndexAny(line, "=:")
		if at <= 0 {
			return fmt.Errorf("%s:%d: %q is not key=value", z.name, i+1, line)
		}
		key := strings.TrimPrefix(strings.TrimSpace(line[:at]), "zookeeper.")
		z.keys[key], z.lines[key] = strings.TrimSpace(line[at+1:]), i+1
	}
	return nil
}

func (z *zooFile) fail(key, want string) error {
	return fmt.Errorf("%s:%d: %s=%s: want %s", z.name, z.lines[key], key, z.keys[key], want)
}

func (z *zooFile) warning(key, why string) {
	z.warn = append(z.warn, fmt.Sprintf("%s:%d: %s is not used: %s", z.name, z.lines[key], key, why))
}

func (z *zooFile) number(key string) (int, bool, error) {
	v, ok := z.keys[key]
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, false, z.fail(key, "a number")
	}
	return n, true, nil
}

func (z *zooFile) translate() error {
	for _, step := range []func() error{z.times, z.addresses, z.members, z.tls, z.others} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// times derives the session timeouts from tickTime, as ZooKeeper does.
func (z *zooFile) times() error {
	tick, ok, err := z.number("tickTime")
	if err != nil {
		return err
	}
	if !ok {
		tick = 3000
	}
	z.flags["min-session-timeout"], z.flags["max-session-timeout"] = fmt.Sprint(2*tick, "ms"), fmt.Sprint(20*tick, "ms")
	for key, name := range milliseconds {
		if n, ok, err := z.number(key); err != nil {
			return err
		} else if ok && n > 0 {
			z.flags[name] = fmt.Sprint(n, "ms")
		}
	}
	return nil
}

func (z *zooFile) addresses() error {
	for _, a := range []struct{ port, host, flag, anywhere string }{
		{"clientPort", "clientPortAddress", "listen", "0.0.0.0"},
		{"secureClientPort", "secureClientPortAddress", "secure-listen", "0.0.0.0"},
		{"admin.serverPort", "admin.serverAddress", "admin-listen", "127.0.0.1"},
	} {
		n, ok, err := z.number(a.port)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		host := z.keys[a.host]
		if host == "" {
			host = a.anywhere
		}
		z.flags[a.flag] = net.JoinHostPort(host, strconv.Itoa(n))
	}
	if z.keys["admin.enableServer"] == "false" {
		delete(z.flags, "admin-listen")
	}
	return nil
}

// members reads the server lines, dataDir, and the file myid in it.
func (z *zooFile) members() error {
	var peers []string
	for key, v := range z.keys {
		m := serverKey.FindStringSubmatch(key)
		if m == nil {
			continue
		}
		spec, client, _ := strings.Cut(v, ";")
		part := strings.Split(spec, ":")
		if len(part) < 3 {
			return z.fail(key, "HOST:PORT:PORT")
		}
		role := ""
		switch {
		case len(part) > 3 && part[3] == "observer":
			role = ":observer"
		case len(part) > 3 && part[3] != "participant":
			return z.fail(key, "the role participant or observer")
		}
		if client != "" {
			z.warning(key, "the client's part behind ; is taken from clientPort")
		}
		peers = append(peers, m[1]+"="+net.JoinHostPort(part[0], part[1])+role)
	}
	slices.Sort(peers)
	dir := z.keys["dataDir"]
	if dir != "" {
		z.flags["data"] = filepath.Join(dir, "docent") // beside what ZooKeeper keeps there
	}
	if len(peers) > 1 {
		z.flags["peers"] = strings.Join(peers, ",")
		text, err := os.ReadFile(filepath.Join(dir, "myid"))
		if err != nil {
			return fmt.Errorf("%s: the number of this member: %w", z.name, err)
		}
		z.flags["id"] = strings.TrimSpace(string(text))
	}
	return nil
}

// tls takes stores in PEM, the one format that both sides read.
func (z *zooFile) tls() error {
	for _, prefix := range []string{"ssl.", "ssl.quorum."} {
		name := map[string]string{"ssl.": "tls", "ssl.quorum.": "peer-tls"}[prefix]
		for _, s := range []struct{ key, flags string }{{prefix + "keyStore", name + "-cert " + name + "-key"}, {prefix + "trustStore", name + "-ca"}} {
			file, ok := z.keys[s.key+".location"]
			if !ok {
				continue
			}
			if !strings.HasSuffix(file, ".pem") && !strings.EqualFold(z.keys[s.key+".type"], "PEM") {
				return z.fail(s.key+".location", "a file in PEM; keytool and openssl turn other formats into it")
			}
			for _, f := range strings.Fields(s.flags) {
				z.flags[f] = file
			}
		}
	}
	if _, ok := z.flags["tls-cert"]; ok {
		z.flags["tls-client-auth"] = "need"
	}
	if v, ok := z.keys["ssl.clientAuth"]; ok {
		z.flags["tls-client-auth"] = v
	}
	return nil
}

// others takes the keys that stand for a flag, and warns of the rest.
func (z *zooFile) others() error {
	for key, v := range z.keys {
		name, same := sameMeaning[key]
		_, ms := milliseconds[key]
		why, known := notNeeded[key]
		switch {
		case same:
			z.flags[name] = v
		case ms || slices.Contains(handled, key) || serverKey.MatchString(key) || strings.HasPrefix(key, "ssl."):
		case known:
			z.warning(key, why)
		default:
			z.warning(key, "it has no meaning for docent")
		}
	}
	slices.Sort(z.warn)
	return nil
}
