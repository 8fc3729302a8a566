package arrows_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// pkg is what go list says of a package; Imports are those of its non-test files.
type pkg struct {
	ImportPath                         string
	Standard                           bool
	Imports, TestImports, XTestImports []string
	// ImportMap names what the standard library has vendored.
	ImportMap map[string]string
}

type graph map[string]pkg

var listed = sync.OnceValues(func() (graph, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,TestImports,XTestImports,ImportMap",
		"./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		for i, path := range p.Imports {
			if vendored, ok := p.ImportMap[path]; ok {
				p.Imports[i] = vendored
			}
		}
		g[p.ImportPath] = p
	}
})

// list asks the go command for every package of the module and all it depends on. The go
// command runs outside of what the test cache watches; the cache stays honest because
// this package's other tests open every source file.
func list(t *testing.T) graph {
	t.Helper()
	g, err := listed()
	require.NoError(t, err, "go list")
	require.Contains(t, g, module+"/internal/arrows", "go list sees this module")
	return g
}

// chain returns the shortest way from a package to one at or below forbidden, nil when
// there is none.
func (g graph) chain(from, forbidden string) []string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && below(at, forbidden) && roomOf(at) == roomOf(forbidden) {
			var way []string
			for p := at; p != ""; p = cameFrom[p] {
				way = append(way, p)
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range g[at].Imports {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func below(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func inModule(pkg string) bool { return below(pkg, module) }

// roomOf names the room a package belongs to, the innermost where rooms nest, "" when it
// belongs to none.
func roomOf(pkg string) (room string) {
	for r := range rooms {
		if below(pkg, module+"/"+r) && len(r) > len(room) {
			room = r
		}
	}
	return room
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func orNone(allowed []string) string {
	if len(allowed) == 0 {
		return "none of the others"
	}
	return strings.Join(allowed, " and ")
}
