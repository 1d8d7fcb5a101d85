package conformance

// A difference is what Apache ZooKeeper 3.8 answers where 3.9 does otherwise, and where that is written: an issue of
// ZooKeeper and the first 3.9 release with it, or a section of the protocol reference.
type difference struct {
	zk38 string // what the check gets there
	ref  string
}

// notAsked stands for what must not be tried on 3.8: it dies of it, never answers, or goes on out of step.
const notAsked = "not asked"

// differences are those of Apache ZooKeeper 3.8.0 as Debian ships it (3.8.0-11+deb12u2, with later security fixes), by
// the name of the check.
var differences = collect([]differencesBy{
	{"ZOOKEEPER-4472, 3.9.0: lasting watches have types of their own", map[string]string{
		"trap 19, checks and removals: a watch of kind children, asked for persistent: check":          "-5",
		"trap 19, checks and removals: a watch of kind children, asked for persistent: remove":         "-5",
		"trap 19, checks and removals: a watch of kind children, asked for recursive: check":           "-5",
		"trap 19, checks and removals: a watch of kind children, asked for recursive: remove":          "-5",
		"trap 19, checks and removals: a watch of kind data, asked for persistent: check":              "-5",
		"trap 19, checks and removals: a watch of kind data, asked for persistent: remove":             "-5",
		"trap 19, checks and removals: a watch of kind data, asked for recursive: check":               "-5",
		"trap 19, checks and removals: a watch of kind data, asked for recursive: remove":              "-5",
		"trap 19, checks and removals: a watch of kind none, asked for persistent: check":              "-5",
		"trap 19, checks and removals: a watch of kind none, asked for persistent: remove":             "-5",
		"trap 19, checks and removals: a watch of kind none, asked for recursive: check":               "-5",
		"trap 19, checks and removals: a watch of kind none, asked for recursive: remove":              "-5",
		"trap 19, checks and removals: a watch of kind persistent, asked for children: check":          "0",
		"trap 19, checks and removals: a watch of kind persistent, asked for children: remove":         "0",
		"trap 19, checks and removals: a watch of kind persistent, asked for data: check":              "0",
		"trap 19, checks and removals: a watch of kind persistent, asked for data: remove":             "0",
		"trap 19, checks and removals: a watch of kind persistent, asked for persistent: check":        "-5",
		"trap 19, checks and removals: a watch of kind persistent, asked for persistent: remove":       "-5",
		"trap 19, checks and removals: a watch of kind persistent, asked for persistent: remove again": "-5",
		"trap 19, checks and removals: a watch of kind persistent, asked for recursive: check":         "-5",
		"trap 19, checks and removals: a watch of kind persistent, asked for recursive: remove":        "-5",
		"trap 19, checks and removals: a watch of kind recursive, asked for children: check":           "0",
		"trap 19, checks and removals: a watch of kind recursive, asked for children: remove":          "0",
		"trap 19, checks and removals: a watch of kind recursive, asked for data: check":               "0",
		"trap 19, checks and removals: a watch of kind recursive, asked for data: remove":              "0",
		"trap 19, checks and removals: a watch of kind recursive, asked for persistent: check":         "-5",
		"trap 19, checks and removals: a watch of kind recursive, asked for persistent: remove":        "-5",
		"trap 19, checks and removals: a watch of kind recursive, asked for recursive: check":          "-5",
		"trap 19, checks and removals: a watch of kind recursive, asked for recursive: remove":         "-5",
		"trap 19, checks and removals: a watch of kind recursive, asked for recursive: remove again":   "-5",
	}},
	{"ZOOKEEPER-4655, 3.9.0: the zxid is told", map[string]string{
		"zxid of notifications: that of the change": "false",
	}},
	{"ZOOKEEPER-4466, 3.9.0: modes stack", map[string]string{
		"trap 16, modes stack: one of them removed":                         "-5",
		"trap 16, modes stack: recursive and persistent":                    "children changed /b",
		"trap 16, modes stack: the one-shot did not eat the persistent one": "",
		"trap 16, modes stack: the other stays":                             "children changed /b",
	}},
	{"3.9.4: IPv6 in ip ACLs (§13.1)", map[string]string{
		"ACLs taken and refused: create with ip:::1:31":       "-114",
		"ACLs taken and refused: create with ip:fe80::/10:31": "-114",
	}},
	{"ZOOKEEPER-2590, 3.9.2: exists needs READ", map[string]string{
		"trap 32, permissions: with ADMIN: exists":  "0",
		"trap 32, permissions: with CREATE: exists": "0",
		"trap 32, permissions: with DELETE: exists": "0",
		"trap 32, permissions: with WRITE: exists":  "0",
	}},
	{"§3.3: 3.9 refuses the whole request", map[string]string{
		"multi that makes no sense: with unknown flags inside": "0 error -8",
	}},
	{"ZOOKEEPER-4026, 3.9.0: create2 is answered as such", map[string]string{
		"multi that succeeds: create2": "1 /two",
	}},
	{"§2.2: a server need not let the ignorant disturb", map[string]string{
		"trap 25, who attaches: a wrong password disturbs nobody": "closed",
	}},
	{"§3.1: 3.8.0 dies of it", map[string]string{
		"trap 48, flags of creates: createTTL, flags 0, ttl -1": notAsked,
		"trap 48, flags of creates: createTTL, flags 1, ttl -1": notAsked,
	}},
	{"3.9.3: refused; 3.8.0 never answers (§13.1)", map[string]string{
		"trap 44, unknown operations: type 13": notAsked,
	}},
	{"§3.4: 3.8.0 answers with a stray frame", map[string]string{
		"trap 44, unknown operations: type -10": notAsked,
	}},
	{"§3.4: 3.8.0 answers -8 and goes on", map[string]string{
		"trap 44, unknown operations: type 20": notAsked,
	}},
})

// differencesBy are the differences that one change made.
type differencesBy struct {
	ref  string
	zk38 map[string]string
}

func collect(list []differencesBy) map[string]difference {
	all := make(map[string]difference)
	for _, by := range list {
		for name, got := range by.zk38 {
			all[name] = difference{zk38: got, ref: by.ref}
		}
	}
	return all
}
