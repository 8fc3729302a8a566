package arrows

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The code on the README's first screen is the package's Example, which compiles.
func TestReadmeShowsTheExample(t *testing.T) {
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
