package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/server"
)

func backupVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "write the state of a running ensemble into a file",
		Long: `Writes the state of a running ensemble into FILE: everything acknowledged
before, at one moment, with checksums. FILE appears when it is complete,
verified and on disk, or not at all.`,
		Example: "  docent backup --admin 127.0.0.1:8080 nightly.backup",
		Args:    exactArgs("FILE"),
	}
	o := addOperator(cmd, e)
	force := cmd.Flags().Bool("force", false, "replace FILE if it is there")
	local := cmd.Flags().Bool("local", false, "what this one server has, also without a majority")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.complete(); err != nil {
			return err
		}
		return o.backup(cmd.Context(), args[0], *force, *local, e.stdout)
	}
	return cmd
}

// backup fetches a backup from a server.
func (o *operator) backup(ctx context.Context, file string, force, local bool, w io.Writer) error {
	if _, err := os.Lstat(file); err == nil && !force {
		return usagef("%s is there already; --force replaces it", file)
	}
	resp, err := o.request(ctx, http.MethodGet, "snapshot", url.Values{"local": {strconv.FormatBool(local)}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	info, err := writeFile(file, resp.Body, force)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "docent: backup of %s in %s\n", describe(info), file)
	return err
}

func describe(i server.BackupInfo) string {
	return fmt.Sprintf("%d nodes and %d sessions up to zxid 0x%x", i.Nodes, i.Sessions, i.Zxid)
}

// writeFile makes name hold a backup, whole and durable, or leaves everything as it was.
func writeFile(name string, r io.Reader, replace bool) (info server.BackupInfo, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return info, err
	}
	defer func() {
		f.Close() // once more, if it went wrong before
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := io.Copy(f, r); err != nil {
		return info, fmt.Errorf("receive backup: %w", err)
	}
	// What is read back is what was received, or the backup is none.
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return info, err
	}
	if info, err = server.CheckBackup(f); err != nil {
		return info, fmt.Errorf("the backup received is damaged: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return info, err
	}
	if replace {
		err = os.Rename(f.Name(), name)
	} else if err = os.Link(f.Name(), name); err == nil { // unlike a rename it fails if name has come meanwhile
		err = os.Remove(f.Name())
	}
	if err != nil {
		return info, err
	}
	return info, syncFolder(filepath.Dir(name))
}

// syncFolder makes the names in a folder durable.
func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func restoreVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "restore a backup into an empty ensemble",
		Long: `Restores a backup into a running ensemble that has no nodes yet, through any of
its servers: all members get it, or none. The clients connected are cut off and
come back. Sessions in the backup go on, and expire if nobody takes them up.

New zxids are larger than all in the backup and all given since, by the clock:
at least the seconds since 1970 times 2^24.`,
		Example: "  docent restore --admin 127.0.0.1:8080 nightly.backup",
		Args:    exactArgs("FILE"),
	}
	o := addOperator(cmd, e)
	force := cmd.Flags().Bool("force", false, "replace what the ensemble has")
	above := cmd.Flags().Int64("zxid-above", 0, "make new zxids larger than this `number`, in case the clock is wrong")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.complete(); err != nil {
			return err
		}
		return o.restore(cmd.Context(), args[0], *force, *above, e.stdout)
	}
	return cmd
}

// restore sends a backup to a server.
func (o *operator) restore(ctx context.Context, name string, force bool, above int64, w io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return usageError(err)
	}
	defer f.Close()
	info, err := server.CheckBackup(f)
	if err != nil {
		return usagef("%s: %w", name, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	query := url.Values{"force": {strconv.FormatBool(force)}, "zxid-above": {strconv.FormatInt(above, 10)}}
	resp, err := o.request(ctx, http.MethodPost, "restore", query, f)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	zxid := resp.Header.Get("last_zxid")
	if zxid == "" {
		return errors.New("the server does not say that it restored the backup")
	}
	_, err = fmt.Fprintf(w, "docent: restored %s; the zxid is %s now\n", describe(info), zxid)
	return err
}
