package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// choose finds the programs for the data folder: those of the version that made the data,
// any for a new one.
func choose(ctx context.Context, dir string, opts Options) (programs, error) {
	major, err := majorOf(dir)
	if err != nil {
		return programs{}, err
	}
	var looked string
	if opts.Programs != Fetched {
		found := onMachine(ctx, os.Getenv("PATH"), usual)
		for _, p := range found {
			if p.major == major || major == 0 && p.major >= oldest {
				return p, nil
			}
		}
		looked = describe(found)
	}
	if ctx.Err() != nil {
		return programs{}, fmt.Errorf("look for Postgres: %w", context.Cause(ctx))
	}
	if opts.Programs == Machine {
		return programs{}, missing(dir, major, errors.New(looked))
	}
	p, err := fetched(ctx, major, opts)
	if err != nil {
		if looked != "" {
			looked += ", and "
		}
		return programs{}, missing(dir, major, fmt.Errorf("%snone could be fetched: %w", looked, err))
	}
	return p, nil
}

// missing is the one message about programs that are not there.
func missing(dir string, major int, why error) error {
	if major == 0 {
		return fmt.Errorf("no Postgres (%d or later) to run: %w; install one, fetch it from another repository "+
			"(EMBEDDED_POSTGRES_REPOSITORY), or use one that runs already (STORAGE_DRIVER=db, DATABASE_URL)", oldest,
			why)
	}
	return fmt.Errorf("the data in %s was made by Postgres %d, which is needed to run it: %w; "+
		"install Postgres %d, or choose another folder (DATA_DIR)", dir, major, why, major)
}

func describe(found []programs) string {
	if len(found) == 0 {
		return "none is on PATH or in the usual folders"
	}
	list := make([]string, len(found))
	for i, p := range found {
		list[i] = p.String()
	}
	return "on this machine there is " + strings.Join(list, ", ")
}

// majorOf reads which major version made the data, 0 when there is none yet.
func majorOf(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, dataFolder, "PG_VERSION"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case errors.Is(err, fs.ErrPermission):
		return 0,
			fmt.Errorf("%w: the data belongs to another user; start as that user, or choose another folder (DATA_DIR)",
				err)
	case err != nil:
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("what is in %s is no Postgres data: %w", dir, err)
	}
	return major, nil
}
