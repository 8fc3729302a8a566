package locale

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"text/template/parse"

	"github.com/stretchr/testify/require"
)

// speakers are the packages whose texts are translated.
var speakers = []string{"../locale", "../pages", "../notify", "../cmd/host"}

// Every text that is given to T or N has a translation, and every translation a text.
func TestCatalogue_CompleteAndUsed(t *testing.T) {
	t.Parallel()
	used := map[string]string{}
	for _, folder := range speakers {
		collect(t, folder, used)
	}
	require.Greater(t, len(used), 100, "the texts are not found")
	for text, where := range used {
		translated, ok := frenchTexts[text]
		if !ok {
			t.Errorf("%s: no French for %q", where, text)
			continue
		}
		require.Equal(t, verbs(text), verbs(translated), "the French of %q formats something else", text)
	}
	for text := range frenchTexts {
		if used[text] == "" {
			t.Errorf("the French of %q is used nowhere", text)
		}
	}
}

var verb = regexp.MustCompile(`%(?:\[(\d+)\])?([a-z])`)

// verbs returns the verb of each argument, in their order.
func verbs(format string) []string {
	var found []string
	next := 1
	for _, m := range verb.FindAllStringSubmatch(strings.ReplaceAll(format, "%%", ""), -1) {
		if n, err := strconv.Atoi(m[1]); err == nil {
			next = n
		}
		found = append(found, strconv.Itoa(next)+m[2])
		next++
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// collect adds the texts of a folder, if it exists, and below it.
func collect(t *testing.T, folder string, used map[string]string) {
	t.Helper()
	if _, err := os.Stat(folder); os.IsNotExist(err) {
		return
	}
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		switch filepath.Ext(path) {
		case ".go":
			collectGo(t, path, used)
		case ".html", ".txt":
			if strings.Contains(path, "templates") {
				collectTemplate(t, path, used)
			}
		}
		return nil
	}))
}

func collectGo(t *testing.T, path string, used map[string]string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != "T" && selector.Sel.Name != "N" {
			return true
		}
		texts := call.Args[:min(1, len(call.Args))]
		if selector.Sel.Name == "N" {
			texts = call.Args[1:]
		}
		for _, arg := range texts {
			text, literal := literalOf(arg)
			if name, variable := arg.(*ast.Ident); variable && strings.Contains(path, "locale.go") {
				require.Contains(t, []string{"one", "many"}, name.Name)
				continue
			}
			require.True(t, literal, "%s: a text that is no literal cannot be checked", files.Position(arg.Pos()))
			used[text] = files.Position(arg.Pos()).String()
		}
		return true
	})
}

// literalOf returns the text of a literal, or of a sum of literals.
func literalOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := literalOf(e.X)
		right, also := literalOf(e.Y)
		return left + right, ok && also && e.Op == token.ADD
	case *ast.ParenExpr:
		return literalOf(e.X)
	}
	return "", false
}

func collectTemplate(t *testing.T, path string, used map[string]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	parsed, err := template.New(path).Parse(string(text))
	require.NoError(t, err)
	for _, each := range parsed.Templates() {
		if each.Tree == nil {
			continue
		}
		walk(each.Root, func(command *parse.CommandNode) {
			name := command.Args[0].String()
			for i, arg := range command.Args[1:] {
				quoted, ok := arg.(*parse.StringNode)
				switch {
				case !ok:
				case strings.HasSuffix(name, ".T") && i == 0, strings.HasSuffix(name, ".N"):
					used[quoted.Text] = path
				}
			}
		})
	}
}

// walk visits the commands below a node of a template.
func walk(node parse.Node, visit func(*parse.CommandNode)) {
	pipe := func(p *parse.PipeNode) {
		if p != nil {
			walk(p, visit)
		}
	}
	list := func(l *parse.ListNode) {
		if l != nil {
			walk(l, visit)
		}
	}
	branch := func(b *parse.BranchNode) { pipe(b.Pipe); list(b.List); list(b.ElseList) }
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			walk(child, visit)
		}
	case *parse.ActionNode:
		pipe(n.Pipe)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		pipe(n.Pipe)
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			visit(command)
			for _, arg := range command.Args {
				walk(arg, visit)
			}
		}
	}
}

// A problem that is translated is one that a package still names.
func TestProblems_AreNamed(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, pattern := range []string{"../booking/*.go", "../internal/valid/*.go", "../pages/*.go"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, paths)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			sources.Write(text)
		}
	}
	for problem, translated := range frenchProblems {
		require.Contains(t, sources.String(), strconv.Quote(problem))
		require.Equal(t, translated, Of("fr").Problem(problem))
		require.Equal(t, problem, Locale{}.Problem(problem))
	}
	require.Equal(t, "another", Of("fr").Problem("another"))
}

func BenchmarkT(b *testing.B) {
	l := Of("fr")
	b.ReportAllocs()
	for b.Loop() {
		_ = l.T("You may cancel %s.", "jusqu’au début")
	}
}
