// Package before holds what docs/migrating.md moves over from go-zookeeper, so that it is compiled.
package before

import (
	"fmt"

	"github.com/go-zookeeper/zk"
)

// OneAtATime runs work under a lock.
func OneAtATime(conn *zk.Conn, work func() error) error {
	l := zk.NewLock(conn, "/locks/orders", zk.WorldACL(zk.PermAll))
	if err := l.Lock(); err != nil { // waits as long as it takes
		return err
	}
	defer l.Unlock()
	return work() // and nobody tells it when the session is lost
}

// WaitForChange shows a node and waits until it changes.
func WaitForChange(conn *zk.Conn) error {
	data, _, changed, err := conn.GetW("/config/rate")
	if err != nil {
		return err
	}
	fmt.Println("rate", string(data))
	return (<-changed).Err
}
