package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// create makes the cluster beside its place and moves it there, so that what stands there
// is whole.
func (c *cluster) create(ctx context.Context) error {
	passwordPath := filepath.Join(c.dir, passwordFile)
	_, err := os.Stat(c.data())
	if err == nil {
		text, err := os.ReadFile(passwordPath)
		if err != nil {
			return fmt.Errorf("read the password of the data in %s: %w; without it nobody can log in there: restore it, or choose another folder (DATA_DIR)", c.dir, err)
		}
		c.password = string(text)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.password = rand.Text()
	if err := os.WriteFile(passwordPath, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("write the password: %w", err)
	}
	beside := c.data() + ".new"
	if err := errors.Join(os.RemoveAll(beside), os.Mkdir(beside, 0o700)); err != nil {
		return fmt.Errorf("make room for a cluster: %w", err)
	}
	defer func() { _ = os.RemoveAll(beside) }()
	if err := c.own(); err != nil {
		return err
	}
	auth := "scram-sha-256"
	if c.ephemeral {
		// SCRAM costs a client 2 ms of processor time per connection, 10 ms under the race
		// detector: too much for tests, which open thousands.
		auth = "md5"
	}
	// The paths are given from the folder it runs in: all of those above it need not be
	// readable for whom it runs as.
	cmd := c.command(ctx, "initdb", "--pgdata="+filepath.Base(beside), "--username="+superuser,
		"--pwfile="+passwordFile,
		"--auth="+auth, "--encoding=UTF8", "--locale=C", "--no-sync")
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("make a cluster in %s: %w", c.dir, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("make a cluster in %s: %w", c.dir, explain(out, err))
	}
	return os.Rename(beside, c.data())
}
