package api_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/internal/openapi"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func described(t *testing.T, a *api.API) *openapi.Document {
	t.Helper()
	doc, err := openapi.Parse(a.OpenAPI())
	require.NoError(t, err)
	return doc
}

func TestOpenAPI_ServedForThePrefix(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	a, err := api.New(d, api.Options{URL: baseURL, Version: "v1.2.3"})
	require.NoError(t, err)
	w := serve(t, a, "GET", "/booking/openapi.json", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, a.OpenAPI(), w.Body.Bytes())
	doc := described(t, a)
	require.Equal(t, []openapi.Server{{URL: "/booking"}}, doc.Servers)
	require.Equal(t, "v1.2.3", doc.Info.Version)
	require.Contains(t, doc.Paths, "/auth/me")

	r := httptest.NewRequest("GET", "/booking/openapi.json", nil)
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	again := httptest.NewRecorder()
	a.ServeHTTP(again, r)
	require.Equal(t, 304, again.Code)

	d.Auth = nil
	a, err = api.New(d, api.Options{URL: "https://example.com",
		Guard: func(next http.Handler, _ ...string) http.Handler { return next }})
	require.NoError(t, err)
	doc = described(t, a)
	require.Equal(t, []openapi.Server{{URL: "/"}}, doc.Servers)
	require.NotContains(t, doc.Paths, "/auth/me")
	_, op := doc.Find("HEAD", "/api/resources")
	require.Equal(t, "listResources", op.OperationID)
}

// Every route is in the document and the reverse, each with an id and a known tag.
func TestOpenAPI_DescribesEveryRoute(t *testing.T) {
	t.Parallel()
	a, err := api.New(deps(testdb.New(t)), api.Options{URL: baseURL})
	require.NoError(t, err)
	var routes, operations []string
	for _, r := range a.Routes() {
		routes = append(routes, r.Method+" "+strings.TrimPrefix(r.Path, "/booking"))
	}
	// The file, not what New makes of it, which leaves out paths without a route.
	doc, err := openapi.Parse(api.OpenAPIFile)
	require.NoError(t, err)
	ids, tags := map[string]bool{}, map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			operations = append(operations, strings.ToUpper(method)+" "+path)
			require.False(t, ids[op.OperationID], op.OperationID)
			require.NotEmpty(t, op.Summary)
			require.NotEmpty(t, op.Success(), path)
			require.Len(t, op.Tags, 1)
			ids[op.OperationID], tags[op.Tags[0]] = true, true
			var variables []string
			for _, p := range op.Parameters {
				if p.In == "path" {
					variables = append(variables, "{"+p.Name+"}")
				}
			}
			require.Equal(t, regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1), variables, path)
		}
	}
	require.ElementsMatch(t, routes, operations)
	for _, tag := range doc.Tags {
		require.True(t, tags[tag.Name], tag.Name)
		delete(tags, tag.Name)
	}
	require.Empty(t, tags, "tags that are not listed")
}

// The enumerations are those of the constants.
func TestOpenAPI_EnumsAreTheConstants(t *testing.T) {
	t.Parallel()
	doc, err := openapi.Parse(api.OpenAPIFile)
	require.NoError(t, err)
	for name, where := range map[string][2]string{
		"BookingStatus": {"../booking", "Status"}, "PaymentStatus": {"../payments", "Status"},
		"Outcome": {"../webhook", "Outcome"}, "Reason": {"../webhook", "Reason"},
	} {
		require.ElementsMatch(t, constants(t, where[0], where[1]), doc.Components.Schemas[name].Enum, name)
	}
	for _, path := range []string{"/api/bookings", "/reservations"} {
		for name, typ := range map[string]string{"kind": "Kind", "order": "Order"} {
			at := slices.IndexFunc(doc.Paths[path]["get"].Parameters,
				func(p openapi.Parameter) bool { return p.Name == name })
			require.ElementsMatch(t, constants(t, "../booking", typ), doc.Paths[path]["get"].Parameters[at].Schema.Enum)
		}
		var names []string
		for _, p := range doc.Paths[path]["get"].Parameters {
			names = append(names, p.Name)
		}
		require.ElementsMatch(t, slices.Collect(maps.Keys(api.ListParameters)), names, path)
	}
}

func constants(t *testing.T, dir, typ string) (values []string) {
	t.Helper()
	for _, file := range parse(t, dir) {
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				value := spec.(*ast.ValueSpec)
				if name, ok := value.Type.(*ast.Ident); ok && name.Name == typ && len(value.Values) == 1 {
					text, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
					require.NoError(t, err)
					values = append(values, text)
				}
			}
		}
	}
	require.NotEmpty(t, values, "%s in %s", typ, dir)
	return values
}

func parse(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// sentCodes returns the error codes in the source of packages: string constants that
// follow a constant http.Status… in a call or a table.
func sentCodes(t *testing.T, dirs ...string) (codes []string) {
	t.Helper()
	for _, dir := range dirs {
		for _, file := range parse(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				var list []ast.Expr
				switch n := n.(type) {
				case *ast.CallExpr:
					list = n.Args
				case *ast.CompositeLit:
					list = n.Elts
				}
				for i := 1; i < len(list); i++ {
					status, ok := list[i-1].(*ast.SelectorExpr)
					if !ok || !strings.HasPrefix(status.Sel.Name, "Status") {
						continue
					}
					if lit, ok := leftmost(list[i]).(*ast.BasicLit); ok && lit.Kind == token.STRING {
						code, err := strconv.Unquote(lit.Value)
						require.NoError(t, err)
						codes = append(codes, code)
					}
				}
				return true
			})
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func leftmost(e ast.Expr) ast.Expr {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		return leftmost(sum.X)
	}
	return e
}

var documentedCode = regexp.MustCompile("(?m)^\\| (\\d+) \\| `([a-z_]+)(<status>)?` \\|")

// The codes in the source, in docs/api.md and in the OpenAPI document are the same.
func TestErrorCodes_AreDocumented(t *testing.T) {
	t.Parallel()
	library := sentCodes(t, ".", "../auth")
	host := sentCodes(t, "../cmd/host/internal/middleware", "../cmd/host")
	require.Contains(t, library, "slot_taken")
	require.Contains(t, library, "status_")
	require.Contains(t, library, "too_many_logins")
	require.Contains(t, host, "internal")

	page, err := os.ReadFile("../docs/api.md")
	require.NoError(t, err)
	var listed []string
	for _, row := range documentedCode.FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, row[2])
	}
	all := append(slices.Clone(library), host...)
	slices.Sort(all)
	all = slices.Compact(all)
	slices.Sort(listed)
	require.Equal(t, all, slices.Compact(listed), "docs/api.md")

	doc, err := openapi.Parse(api.OpenAPIFile)
	require.NoError(t, err)
	described := map[string]bool{}
	for _, methods := range doc.Paths {
		for _, op := range methods {
			for _, r := range op.Responses {
				for _, code := range codesOf(r) {
					if rest, ok := strings.CutPrefix(code, "status_"); ok {
						require.Contains(t, doc.Components.Schemas["BookingStatus"].Enum, rest)
						code = "status_"
					}
					described[code] = true
				}
			}
		}
	}
	// No operation: 405 is that of a path, and capacity_too_small and not_payable are for
	// services that use ErrorOf.
	for _, code := range []string{"method_not_allowed", "capacity_too_small", "not_payable"} {
		require.False(t, described[code], code)
		described[code] = true
	}
	require.ElementsMatch(t, all, slices.Collect(maps.Keys(described)), "openapi.json")
}

func codesOf(r *openapi.Response) (codes []string) {
	for _, content := range r.Content {
		for _, part := range content.Schema.AllOf {
			if code := part.Properties.Get("error"); code != nil {
				codes = append(codes, code.Enum...)
			}
		}
	}
	return codes
}

// The properties of a schema are the fields of its type, in their order; those without
// omitempty are required.
func TestOpenAPI_SchemasAreTheTypes(t *testing.T) {
	t.Parallel()
	doc, err := openapi.Parse(api.OpenAPIFile)
	require.NoError(t, err)
	for name, value := range map[string]any{
		"Booking": api.Booking{}, "Payment": api.Payment{}, "Cancellation": api.Cancellation{}, "Booked": api.Booked{},
		"Resource": api.Resource{}, "Policy": api.Policy{}, "Offer": api.Offer{}, "Slot": api.Slot{},
		"Entry": api.Entry{}, "Error": api.Error{}, "Stats": api.Stats{}, "Rescheduled": api.Rescheduled{},
	} {
		compareType(t, doc, name, reflect.TypeOf(value), doc.Components.Schemas[name])
	}
}

func compareType(t *testing.T, doc *openapi.Document, at string, typ reflect.Type, schema *openapi.Schema) {
	t.Helper()
	kind := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer",
		reflect.Int64: "integer", reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object"}
	schema, err := doc.Resolve(schema)
	require.NoError(t, err)
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ == reflect.TypeFor[time.Time]() {
		require.Equal(t, "date-time", schema.Format, at)
		return
	}
	require.Contains(t, schema.Type, kind[typ.Kind()], at)
	if typ.Kind() == reflect.Slice {
		compareType(t, doc, at+"[]", typ.Elem(), schema.Items)
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	require.True(t, schema.AdditionalProperties.Closed, at)
	var names, required []string
	for _, field := range reflect.VisibleFields(typ) {
		name, opts, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "-" {
			continue
		}
		names = append(names, name)
		// Answers of package auth have no request id by themselves.
		if opts != "omitempty" && at+"."+name != "Error.requestId" {
			required = append(required, name)
		}
		property := schema.Properties.Get(name)
		require.NotNil(t, property, "%s.%s is not in the document", at, name)
		compareType(t, doc, at+"."+name, field.Type, property)
	}
	var described []string
	for _, p := range schema.Properties {
		described = append(described, p.Name)
	}
	require.Equal(t, names, described, at)
	require.ElementsMatch(t, required, schema.Required, at)
}

// The validator finds what is wrong; without that no other test here means anything.
func TestOpenAPI_CheckFindsDifferences(t *testing.T) {
	t.Parallel()
	doc, err := openapi.Parse(api.OpenAPIFile)
	require.NoError(t, err)
	slot := `{"start":"2026-12-01T10:00:00+01:00","end":"2026-12-01T11:00:00+01:00","remaining":1}`
	check := func(status int, kind, body string) error {
		_, err := doc.Check(httptest.NewRequest("GET", "/api/resources/studio/next", nil), status,
			http.Header{"Content-Type": {kind}}, []byte(body))
		return err
	}
	const kind = "application/json; charset=utf-8"
	require.NoError(t, check(200, kind, slot))
	for name, c := range map[string]struct {
		status            int
		kind, body, finds string
	}{
		"status":      {418, kind, slot, "not in the document"},
		"media type":  {200, "text/html", slot, "media type"},
		"missing":     {200, kind, strings.Replace(slot, `,"remaining":1`, "", 1), "remaining is missing"},
		"additional":  {200, kind, strings.Replace(slot, "{", `{"x":1,`, 1), "x is not in the document"},
		"type":        {200, kind, strings.Replace(slot, ":1}", `:"1"}`, 1), "not [integer]"},
		"fraction":    {200, kind, strings.Replace(slot, ":1}", ":1.5}", 1), "not [integer]"},
		"format":      {200, kind, strings.Replace(slot, "T10", " 10", 1), "start"},
		"null":        {200, kind, strings.Replace(slot, ":1}", ":null}", 1), "not [integer]"},
		"not JSON":    {200, kind, slot[1:], "not JSON"},
		"other code":  {404, kind, `{"error":"slot_taken"}`, "not one of"},
		"retry after": {503, kind, `{"error":"unavailable"}`, "Retry-After"},
	} {
		require.ErrorContains(t, check(c.status, c.kind, c.body), c.finds, name)
	}
	require.NoError(t, check(404, kind, `{"error":"no_slot","requestId":"r"}`))
	for _, raw := range []string{`{"openapi":"3.1.0","components":{"schemas":{"X":{"oneOf":[]}}}}`,
		`{"openapi":"3.1.0","paths":{"/x":{"get":{"responses":{"200":{"$ref":"#/components/responses/X"}}}}}}`} {
		_, err := openapi.Parse([]byte(raw))
		require.Error(t, err, raw)
	}
}

// The examples of answers match their schemas.
func TestOpenAPI_ExamplesOfAnswers(t *testing.T) {
	t.Parallel()
	doc, err := openapi.Parse(api.OpenAPIFile)
	require.NoError(t, err)
	found := 0
	for path, methods := range doc.Paths {
		for _, op := range methods {
			for status, r := range op.Responses {
				for media, content := range r.Content {
					if content.Example != nil {
						found++
						require.NoError(t, doc.Validate(content.Schema, content.Example),
							"%s %s %s", path, status, media)
					}
				}
			}
			if op.RequestBody == nil {
				continue
			}
			for name, example := range op.RequestBody.Content["application/json"].Examples {
				require.NoError(t, doc.Validate(op.RequestBody.Content["application/json"].Schema, example.Value), name)
			}
		}
	}
	require.NotZero(t, found)
	require.True(t, json.Valid(api.OpenAPIFile))
}
