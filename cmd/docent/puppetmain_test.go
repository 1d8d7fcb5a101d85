//go:build unix

package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/lock"
)

// puppetMain is the puppet's own side. It returns the exit code, when its stdin ends.
func puppetMain(text string) int {
	var cfg puppetConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Println("failed", err)
		return 1
	}
	ctx := context.Background()
	connected := func(addr string, err error) {
		if err == nil {
			fmt.Println("connected", addr)
		}
	}
	c, err := client.Dial(ctx, client.Config{Servers: cfg.Servers, SessionTimeout: cfg.Timeout, Identity: cfg.Name,
		Hooks: client.Hooks{Connect: connected}})
	if err != nil {
		fmt.Println("failed", err)
		return 1
	}
	defer c.Close()
	h := &holder{cfg: cfg, mutex: lock.New(c, cfg.Path)}
	defer h.watching.Wait()
	defer h.unlock(ctx)
	fmt.Println("ready", os.Getpid())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := h.obey(ctx, in.Text()); err != nil {
			fmt.Println("failed", err)
		}
	}
	return 0
}

// holder takes the lock and works under it.
type holder struct {
	cfg      puppetConfig
	mutex    *lock.Mutex
	held     *lock.Held // the latest
	watching sync.WaitGroup
}

func (h *holder) obey(ctx context.Context, command string) error {
	var n int
	switch _, err := fmt.Sscanf(command, "rounds %d", &n); {
	case err == nil:
		return h.rounds(ctx, n)
	case command == "lock":
		return h.lock(ctx)
	case command == "write":
		status, err := h.write()
		if err == nil {
			fmt.Println("store", status)
		}
		return err
	case command == "unlock":
		return h.unlock(ctx)
	case command == "ticket":
		ticket := h.held.Session().Ticket()
		fmt.Printf("ticket %d %x\n", ticket.SessionID, ticket.Password)
		return nil
	}
	return fmt.Errorf("unknown command %q", command)
}

func (h *holder) lock(ctx context.Context) error {
	held, err := h.mutex.Lock(ctx)
	if err != nil {
		return err
	}
	h.held = held
	fmt.Println("locked", held.Token(), time.Now().UnixNano())
	h.watching.Go(func() {
		<-held.Context().Done()
		if held.Lost() {
			fmt.Println("lost", time.Now().UnixNano(), context.Cause(held.Context()))
		}
	})
	return nil
}

func (h *holder) unlock(ctx context.Context) error {
	if h.held == nil {
		return nil
	}
	if err := h.held.Unlock(ctx); err != nil {
		return err
	}
	fmt.Println("unlocked", h.held.Token())
	h.held = nil
	return nil
}

// write asks the store to do something for the latest hold, whatever has become of it.
func (h *holder) write() (status int, err error) {
	resp, err := http.Post(h.cfg.Store+"?token="+strconv.FormatUint(h.held.Token(), 10), "text/plain", nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, err
}

// rounds takes the lock n times, keeping a journal of when it believes to hold it. A round in which it is lost, or not
// got, is made again.
func (h *holder) rounds(ctx context.Context, n int) error {
	journal, err := os.OpenFile(h.cfg.Journal, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer journal.Close()
	losses := 0
	for done := 0; done < n; {
		held, err := h.mutex.Lock(ctx)
		if err != nil {
			fmt.Println("missed", err)
			losses++
			continue
		}
		h.held = held
		if err := h.work(journal); err != nil {
			return err
		}
		if held.Lost() {
			fmt.Println("missed", context.Cause(held.Context()))
			losses++
		} else {
			done++
		}
		if err := held.Unlock(ctx); err != nil {
			return err
		}
	}
	h.held = nil
	fmt.Println("done", n, losses)
	return nil
}

// work is what the lock guards: an entry and an exit in the journal, and a write in between that the store must take.
func (h *holder) work(journal *os.File) error {
	if _, err := fmt.Fprintln(journal, "enter", os.Getpid(), h.held.Token()); err != nil {
		return err
	}
	status, err := h.write()
	if err != nil {
		return err
	}
	if status != http.StatusOK && h.held.Valid() {
		return fmt.Errorf("token %d was answered %d while the lock is held", h.held.Token(), status)
	}
	_, err = fmt.Fprintln(journal, "leave", os.Getpid(), h.held.Token())
	return err
}
