package main

import "github.com/go-zookeeper/zk"

func acls(e *env, dir string) {
	c, n := e.dial(e.addr), dir+"/n"
	must(c.Create(n, nil, 0, all()))
	got, st, x := c.GetACL(n)
	must0(x)
	e.eq("getACL: open by default", got, all())
	set := must(c.SetACL(n, zk.WorldACL(zk.PermRead|zk.PermAdmin), 0))
	e.eq("setACL: aversion grows, mzxid stays", set.Aversion == 1 && set.Mzxid == st.Mzxid, true)
	got, _, x = c.GetACL(n)
	must0(x)
	e.eq("setACL: read back", got, zk.WorldACL(zk.PermRead|zk.PermAdmin))
	e.eq("setACL: bad version", err(c.SetACL(n, all(), 0)), zk.ErrBadVersion)
	e.eq("setACL: no node", err(c.SetACL(dir+"/none", all(), -1)), zk.ErrNoNode)
	e.eq("setACL: unknown scheme", err(c.SetACL(n, []zk.ACL{{Perms: 31, Scheme: "moon", ID: "x"}}, -1)), zk.ErrInvalidACL)
	e.eq("setData: no permission", err(c.Set(n, nil, -1)), zk.ErrNoAuth)
	e.eq("create: no permission on the parent", err(c.Create(n+"/kid", nil, 0, all())), zk.ErrNoAuth)
	e.eq("getACL: no node", err2(c.GetACL(dir+"/none")), zk.ErrNoNode)

	owner := e.dial(e.addr)
	must0(owner.AddAuth("digest", []byte("bob:pw")))
	mine := must(owner.Create(dir+"/mine", []byte("s"), 0, zk.AuthACL(zk.PermAll)))
	got, _, x = owner.GetACL(mine)
	must0(x)
	e.eq("auth: expands to the digest", got, zk.DigestACL(zk.PermAll, "bob", "pw"))
	e.eq("auth: a stranger may not read", err2(c.Get(mine)), zk.ErrNoAuth)
	must0(c.AddAuth("digest", []byte("bob:pw")))
	data, _, x := c.Get(mine)
	must0(x)
	e.eq("auth: who knows the password may", string(data), "s")
}
