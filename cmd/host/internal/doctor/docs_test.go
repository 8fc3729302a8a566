package doctor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
)

// docs/doctor.md has a row for each finding, and the events of the endpoint.
func TestFindings_AreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/doctor.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (.+) \\| (.+) "+
		"\\|$").FindAllStringSubmatch(string(page), -1) {
		require.False(t, documented[row[1]], "%s is there twice", row[1])
		documented[row[1]] = true
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	used, values := map[string]bool{}, map[string]string{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if kind, isIdent := n.Type.(*ast.Ident); isIdent && kind.Name == "Name" {
					value, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					require.NoError(t, err)
					values[n.Names[0].Name] = value
				}
			case *ast.CallExpr:
				// The name is a constant or a parameter.
				if slices.Contains([]string{"problem", "warning", "ok", "inProduction", "failed"}, called(n)) {
					name, isIdent := n.Args[0].(*ast.Ident)
					if !isIdent {
						field, isField := n.Args[0].(*ast.SelectorExpr)
						require.True(t, isField && field.Sel.Name == "name", "%s: a finding without a constant as "+
							"name", path)
						return true
					}
					used[name.Name] = true
				}
			}
			return true
		})
	}
	require.Greater(t, len(values), 40)
	for constant, name := range values {
		require.True(t, documented[name], "%s is not in docs/doctor.md", name)
		delete(documented, name)
		if !used[constant] {
			// It is handed to a helper by name.
			require.Contains(t, []string{"BaseLive", "BaseReady", "EventsUndelivered", "WebhookEndpoint"}, constant,
				"%s is never found", constant)
		}
	}
	require.Empty(t, documented, "these are in docs/doctor.md and not in the code")
	for name := range used {
		require.True(t, name == "name" || name == "lacked" || values[name] != "", "%s is not a constant", name)
	}
	require.Contains(t, string(page), "```\n"+strings.Join(payments.EventTypes(), "\n")+"\n```")
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
