package arrows_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// M25: a date becomes an instant, and a name a zone, in one place each. time.Date and
// time.ParseInLocation answer a time of the day before where midnight does not exist, and
// time.LoadLocation accepts what only this machine knows.
func TestDates_OnePlace(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"time.Date(":            {"booking/date.go"},
		"time.ParseInLocation(": nil,
		"time.LoadLocation(":    {"booking/date.go"},
	}
	looked := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2:
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		looked++
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file := strings.TrimPrefix(filepath.ToSlash(path), "../../")
		for call, in := range allowed {
			if strings.Contains(string(source), call) && !contains(in, file) {
				t.Errorf("%s calls %s): use booking.Date.At, booking.LoadZone or Resource.Zone", file, call)
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, looked, 100)
}
