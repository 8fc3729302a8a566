package imports

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The examples can be copied out of this repository, tests included; each says at its top
// how it is started, and is named by README.md and by the package that it shows. The
// linter does not see those that are modules of their own.
func TestExamples_WorkElsewhereAndAreLinked(t *testing.T) {
	t.Parallel()
	files := sources(t, ".go", ".md")
	mains := 0
	for name, text := range files {
		if !strings.HasPrefix(name, "examples/") || path.Ext(name) != ".go" {
			continue
		}
		require.NotContains(t, string(text), `"`+module+"/internal/", "%s imports internal packages", name)
		if path.Base(name) != "main.go" {
			continue
		}
		mains++
		folder := path.Dir(name)
		comment, _, _ := strings.Cut(string(text), "\npackage main")
		require.Regexp(t, `(?m)^//\t.*go run (\./`+regexp.QuoteMeta(folder)+`|\.)$`, comment,
			"%s names no command", name)
		require.Contains(t, files, folder+"/README.md")
		require.Contains(t, files, folder+"/main_test.go")
		require.Contains(t, string(files["README.md"]), "("+folder+")", "README.md has no link to %s", folder)
		linked := false
		for doc, text := range files {
			linked = linked || path.Base(doc) == "doc.go" && strings.Contains(string(text), folder)
		}
		require.True(t, linked, "no package's documentation names %s", folder)
	}
	require.GreaterOrEqual(t, mains, 6)
}
