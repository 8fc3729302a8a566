package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchable is what is fetched for data of a major version. 0 is a new folder, and gets
// the version of docker-compose.yml.
var fetchable = map[int]embeddedpostgres.PostgresVersion{
	0:  embeddedpostgres.V16,
	14: embeddedpostgres.V14,
	15: embeddedpostgres.V15,
	16: embeddedpostgres.V16,
	17: embeddedpostgres.V17,
	18: embeddedpostgres.V18,
}

const fetchTimeout = 10 * time.Minute

// fetched returns programs from the user's cache folder, after fetching them if missing.
// They are unpacked and tried in another folder and moved into place in one step, so
// those in place are complete.
func fetched(ctx context.Context, major int, opts Options) (programs, error) {
	version, ok := fetchable[major]
	if !ok {
		return programs{}, fmt.Errorf("no Postgres %d is offered", major)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return programs{}, fmt.Errorf("no cache folder: %w", err)
	}
	cache = filepath.Join(cache, "booking-platform")
	name := fmt.Sprintf("postgres-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH)
	place := filepath.Join(cache, name)
	if p, err := inspect(ctx, filepath.Join(place, "bin")); err == nil {
		return p, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return programs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	lock, err := waitForLock(ctx, place+".lock")
	if err != nil {
		return programs{}, err
	}
	defer func() { _ = lock.Close() }()
	// Another process may have fetched them meanwhile.
	if p, err := inspect(ctx, filepath.Join(place, "bin")); err == nil {
		return p, nil
	}
	opts.Logger.InfoContext(ctx, "fetching Postgres, once", "version", string(version), "into", place)
	return fetch(ctx, lock, place, version, opts.Repository)
}

func fetch(ctx context.Context, lock *os.File, place string, version embeddedpostgres.PostgresVersion,
	repository string) (programs, error) {
	beside := place + ".new"
	defer func() { _ = os.RemoveAll(beside) }()
	if err := errors.Join(os.RemoveAll(beside), os.RemoveAll(place), os.Mkdir(beside, 0o755)); err != nil {
		return programs{}, err
	}
	unpacked := filepath.Join(beside, "programs")
	if err := fetchElsewhere(ctx, lock, fetchOrder{Version: version, Repository: repository, Work: beside,
		Into: unpacked}); err != nil {
		return programs{}, err
	}
	if _, err := inspect(ctx, filepath.Join(unpacked, "bin")); err != nil {
		return programs{}, fmt.Errorf("what was fetched does not run: %w", err)
	}
	if err := os.Rename(unpacked, place); err != nil {
		return programs{}, err
	}
	return inspect(ctx, filepath.Join(place, "bin"))
}

type fetchOrder struct {
	Version    embeddedpostgres.PostgresVersion
	Repository string
	// Work is for temporary files.
	Work, Into string
}

// fetchElsewhere fetches in another process, because the library takes no context, panics
// if it cannot remove a file, and leaves temporary and open files behind. The process
// inherits the lock, because it may outlive this one.
func fetchElsewhere(ctx context.Context, lock *os.File, o fetchOrder) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd, err := again(ctx, roleFetch)
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), cmd.Env...)
	cmd.Env = append(cmd.Env, "TMPDIR="+o.Work, "TMP="+o.Work)
	cmd.Stdin = bytes.NewReader(text)
	inherit(cmd, lock)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("fetch Postgres %s: %w", o.Version, context.Cause(ctx))
	case errors.As(err, &exit):
		return fmt.Errorf("fetch Postgres %s: %s", o.Version, bytes.TrimSpace(out))
	}
	return err
}

func runFetch(in io.Reader, out io.Writer) int {
	var o fetchOrder
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	// The library cannot fetch without starting a server. After unpacking it clears the
	// data folder, and Go refuses to remove a path that ends in a dot: it stops there.
	impossible := o.Into + string(filepath.Separator) + "."
	config := embeddedpostgres.DefaultConfig().
		Version(o.Version).
		CachePath(filepath.Join(o.Work, "download")).
		RuntimePath(o.Into).
		DataPath(impossible).
		Port(0).
		Logger(io.Discard)
	if o.Repository != "" {
		config = config.BinaryRepositoryURL(o.Repository)
	}
	err := embeddedpostgres.NewDatabase(config).Start()
	if err == nil || !strings.HasPrefix(err.Error(), "unable to clean up data directory "+impossible) {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}
