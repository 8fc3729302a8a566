// Package surface keeps each library's exported API in a file, so that a review sees a
// change of it.
//
// After a change, run
//
//	go generate ./internal/surface
//
// and add a line to the package's section of CHANGELOG.md.
package surface

import (
	"bytes"
	"flag"
	"go/ast"
	"go/build/constraint"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:generate go test -run TestSurface_ChangedOnPurpose -update .

var update = flag.Bool("update", false, "write the files instead of comparing them")

const (
	root   = "../.."
	module = "github.com/booking-platform/booking-platform"
)

func TestSurface_ChangedOnPurpose(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, dir := range libraries(t) {
		files[strings.ReplaceAll(dir, "/", ".")+".txt"] = exported(t, dir)
	}
	require.Contains(t, files, "booking.calendar.txt")
	require.NotContains(t, files, "internal.pg.txt")
	if *update {
		require.NoError(t, os.RemoveAll("testdata"))
		require.NoError(t, os.Mkdir("testdata", 0o755))
		for name, text := range files {
			require.NoError(t, os.WriteFile(filepath.Join("testdata", name), []byte(text), 0o600))
		}
	}
	found, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	for n := range found {
		found[n] = filepath.Base(found[n])
	}
	const how = "go generate ./internal/surface, and a line in CHANGELOG.md"
	require.ElementsMatch(t, slices.Collect(maps.Keys(files)), found, how)
	for name, text := range files {
		want, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		require.Equal(t, string(want), text, "%s: %s", name, how)
	}
}

func libraries(t *testing.T) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := entry.Name()
		if strings.HasPrefix(name, ".") || slices.Contains([]string{"internal", "cmd", "examples", "testdata"}, name) {
			return fs.SkipDir
		}
		// A module of its own is not a package of this one.
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
			return fs.SkipDir
		}
		if sources, err := filepath.Glob(filepath.Join(path, "*.go")); err != nil || len(sources) > 0 {
			dirs = append(dirs, filepath.ToSlash(rel))
		}
		return nil
	})
	require.NoError(t, err)
	return dirs
}

// exported leaves out comments, bodies and unexported fields.
func exported(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var sources []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || !onLinux(t, path) {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		require.NoError(t, err)
		sources = append(sources, file)
	}
	pkg, err := doc.NewFromFiles(fset, sources, module+"/"+dir)
	require.NoError(t, err)
	var decls []string
	add := func(d ast.Decl) {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
		var text bytes.Buffer
		require.NoError(t, format.Node(&text, fset, d))
		decls = append(decls, text.String())
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			add(v.Decl)
		}
	}
	functions := func(list []*doc.Func) {
		for _, f := range list {
			add(f.Decl)
		}
	}
	// The value of a variable, such as the text of an error, is no part of the API.
	variables := func(list []*doc.Value) {
		for _, v := range list {
			for _, spec := range v.Decl.Specs {
				spec.(*ast.ValueSpec).Values = nil
			}
		}
		values(list)
	}
	values(pkg.Consts)
	variables(pkg.Vars)
	functions(pkg.Funcs)
	for _, typ := range pkg.Types {
		add(typ.Decl)
		values(typ.Consts)
		variables(typ.Vars)
		functions(typ.Funcs)
		functions(typ.Methods)
	}
	return "package " + pkg.Name + "\n\n" + strings.Join(decls, "\n\n") + "\n"
}

func onLinux(t *testing.T, path string) bool {
	t.Helper()
	for _, system := range []string{"_windows.go", "_darwin.go", "_other.go"} {
		if strings.HasSuffix(path, system) {
			return false
		}
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if expr, err := constraint.Parse(strings.TrimSpace(line)); err == nil {
			return expr.Eval(func(tag string) bool { return tag == "linux" || tag == "unix" })
		}
		if strings.HasPrefix(line, "package ") {
			break
		}
	}
	return true
}
