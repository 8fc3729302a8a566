package arrows_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

const maxLines = 450

// sources reads every file of the module with one of the extensions, by its
// slash-separated path.
func sources(t *testing.T, extensions ...string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			// Hidden folders hold the history, caches and the data of a development
			// database.
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !contains(extensions, filepath.Ext(path)) {
			return nil
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = content
		return err
	})
	require.NoError(t, err)
	require.Contains(t, files, "internal/arrows/doc.go")
	return files
}

// isLibrary tells the non-test files of the rooms, which an embedder reads and links.
func isLibrary(path string) bool {
	dir := filepath.ToSlash(filepath.Dir(path))
	return roomOf(module+"/"+dir) != "" && !strings.HasSuffix(path, "_test.go")
}

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	for path, content := range sources(t, ".go") {
		if n := bytes.Count(content, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: a file is one concept", path, n, maxLines)
		}
	}
}

var star = regexp.MustCompile(`(?i)\b(select|returning)\s+(\w+\.)?\*`)

func TestStatementsNameTheirColumns(t *testing.T) {
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

// go list sees the files of this machine's platform only; this sees all of them.
func TestNoLibraryFileImportsWhatIsForeign(t *testing.T) {
	t.Parallel()
	for path, content := range sources(t, ".go") {
		if !isLibrary(path) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, content, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			for _, r := range foreign {
				if r.path == "go.yaml.in/yaml" && strings.HasPrefix(path, "booking/resourcefile/") {
					continue
				}
				if below(imported, r.path) && !contains(plumbing, roomOf(imported)) {
					t.Errorf("file %s\n\tmust not import %s\n\twhy: %s", path, spec.Path.Value, r.why)
				}
			}
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for path, content := range sources(t, ".go") {
		if !isLibrary(path) {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, content, parser.ParseComments)
		require.NoError(t, err)
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || file.Doc != nil
		for _, decl := range file.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s:%d: exported %s has no doc comment", path, set.Position(name.Pos()).Line, name.Name)
			}
		}
	}
	for dir, ok := range documented {
		require.True(t, ok, "package %s has no package comment", dir)
	}
}

// undocumented lists the exported names of a declaration that nothing is said about. A
// comment above a group speaks for the constants and variables in it. Fields whose name
// says all may stand under their type's comment.
func undocumented(decl ast.Decl) (names []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && receiverExported(d) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || len(d.Specs) > 1) {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

// receiverExported is true of functions and of methods on exported types.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	exported := false
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !exported {
			exported = id.IsExported()
			return false
		}
		return true
	})
	return exported
}
