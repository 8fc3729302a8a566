package arrows_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// M4: three packages had a table of decimal places each, with the same mistake in all of
// them. Codes that stand in such a table, and that no other code has a reason to name,
// are in internal/valid only.
func TestCurrencyTable_ThereIsOne(t *testing.T) {
	t.Parallel()
	codes := regexp.MustCompile(`(?i)\b(bif|djf|gnf|kmf|pyg|rwf|vuv|xpf|omr|bhd)\b`)
	found := 0
	for path, text := range sources(t, ".go", ".js", ".html", ".sql") {
		if strings.HasSuffix(path, "_test.go") || !codes.Match(text) {
			continue
		}
		require.Equal(t, "internal/valid", filepath.ToSlash(filepath.Dir(path)),
			"%s names %s: use the table of internal/valid", path, codes.Find(text))
		found++
	}
	require.Equal(t, 1, found, "files of internal/valid that name the currencies")
}
