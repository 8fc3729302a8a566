package imports

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// sources returns the module's files with the extensions, by slash-separated path.
func sources(t *testing.T, extensions ...string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			// Hidden folders hold history, caches and a development database.
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(extensions, filepath.Ext(path)) {
			return nil
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = content
		return err
	})
	require.NoError(t, err)
	require.Contains(t, files, "internal/imports/doc.go")
	return files
}

var star = regexp.MustCompile(`(?i)\b(select|returning)\s+(\w+\.)?\*`)

func TestStatements_NameTheirColumns(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"SELECT" + " * FROM x", "select\n\t" + "*", "SELECT" + " b.* FROM b",
		"RETURNING" + " *"} {
		require.Regexp(t, star, bad)
	}
	require.NotRegexp(t, star, "SELECT count(*)")
	for path, content := range sources(t, ".go", ".sql") {
		if at := star.FindIndex(content); at != nil {
			t.Errorf("%s:%d selects a star: name the columns, or the next migration breaks the scan", path,
				1+bytes.Count(content[:at[0]], []byte("\n")))
		}
	}
}

// M4: A second table of decimal places would drift from internal/valid's. These codes
// occur in such a table only.
func TestCurrencies_OneTable(t *testing.T) {
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

// The code on the README's first screen is an Example, which compiles.
func TestReadme_ShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("../../webhook/example_test.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```go\n")
	require.True(t, found, "README.md has no Go code")
	code, _, _ := strings.Cut(rest, "```")
	var indented strings.Builder
	for line := range strings.Lines(code) {
		indented.WriteString("\t" + line)
	}
	require.Contains(t, string(example), indented.String(), "README.md shows other code than webhook's Example")
	for _, command := range []string{"go run ./cmd/host", "go test ./..."} {
		require.Contains(t, string(readme), command)
	}
}
