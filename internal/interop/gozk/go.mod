// The checks that go-zookeeper/zk runs against a server. A module of its own, so that the client of a peer never
// enters docent's go.mod; the test in the folder above builds it.
module github.com/docent-io/docent/internal/interop/gozk

go 1.26.8

require github.com/go-zookeeper/zk v1.0.4
