//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identities lists the users to run as, the best first: an ordinary user itself; for
// root, the owner of existing data, then a user namespace, where files stay root's and
// every folder can be reached, then system users.
func identities(data string) ([]identity, error) {
	if os.Geteuid() != 0 {
		self := identity{name: "this user",
			attributes: func() *syscall.SysProcAttr { return tied(&syscall.SysProcAttr{}) }, uid: -1, gid: -1}
		return append(named(), self), nil
	}
	var all []identity
	info, err := os.Stat(data)
	if err == nil {
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 0 {
			all = append(all, another("the owner of the data", stat.Uid, stat.Gid))
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	inside := false
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		if !inside {
			all = append(all, namespaced(int(uid), int(gid))...)
			inside = true
		}
		all = append(all, another("the user "+name, uint32(uid), uint32(gid)))
		all = append(all, entitled("the user "+name+" with a right of root", uint32(uid), uint32(gid))...)
	}
	return all, nil
}

// named is for a user whose number has no entry in /etc/passwd, as in some containers:
// initdb needs a name.
func named() []identity {
	if _, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		return nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil {
			return namespaced(uid, gid)
		}
	}
	return nil
}

func another(name string, uid, gid uint32) identity {
	return identity{
		name: name, uid: int(uid), gid: int(gid), outside: true,
		attributes: func() *syscall.SysProcAttr {
			return tied(&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}})
		},
	}
}

// letIn lets others pass through the folder until shutAgain; its files stay closed.
func letIn(dir string) (shutAgain func(), err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	before := info.Mode().Perm()
	return func() { _ = os.Chmod(dir, before) }, os.Chmod(dir, before|0o011)
}

// Only root can, and has to.
func (c *cluster) own() error {
	if c.who.uid < 0 {
		return nil
	}
	for _, name := range []string{lockFile, holderFile, logFile, passwordFile, dataFolder, dataFolder + ".new"} {
		if err := give(filepath.Join(c.dir, name), c.who.uid, c.who.gid); err != nil {
			return fmt.Errorf("give the data to %s: %w", c.who.name, err)
		}
	}
	return nil
}

// give skips what is right or missing.
func give(path string, uid, gid int) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if stat := info.Sys().(*syscall.Stat_t); int(stat.Uid) == uid {
		return nil
	}
	if !info.IsDir() {
		return os.Lchown(path, uid, gid)
	}
	// The folder's owner shows that the rest is done.
	err = filepath.WalkDir(path, func(below string, _ fs.DirEntry, err error) error {
		if err != nil || below == path {
			return err
		}
		return os.Lchown(below, uid, gid)
	})
	if err != nil {
		return err
	}
	return os.Lchown(path, uid, gid)
}

func removeStale(data string) error {
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// apart is a session of its own, which a terminal's Ctrl-C and hang-up do not reach.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

type shutdown = syscall.Signal

const (
	fast      = syscall.SIGINT
	immediate = syscall.SIGQUIT
)

func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		default:
			return err
		}
	}
}

// The lock then lasts as long as the child and its children.
func inherit(cmd *exec.Cmd, held *os.File) { cmd.ExtraFiles = append(cmd.ExtraFiles, held) }

func (p *process) send(_ context.Context, how shutdown) { _ = p.cmd.Process.Signal(how) }
