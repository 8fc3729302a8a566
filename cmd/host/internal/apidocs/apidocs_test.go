package apidocs_test

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/apidocs"
	"github.com/booking-platform/booking-platform/internal/openapi"
)

// The page has every operation, code and schema, and each link leads somewhere.
func TestNew_RendersTheWholeDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../../../api/openapi.json")
	require.NoError(t, err)
	doc, err := openapi.Parse(document)
	require.NoError(t, err)
	h, err := apidocs.New(document, "/booking")
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/booking/docs", nil))
	html := w.Body.String()
	for path, methods := range doc.Paths {
		require.Contains(t, html, "<code>"+path+"</code>")
		for _, op := range methods {
			require.Contains(t, html, `id="`+op.OperationID+`"`)
		}
	}
	for _, part := range []string{"<code>too_many_holds</code>", `href="/booking/openapi.json"`, "READONLY",
		`href="/booking/static/style.css"`, "the owner by token, or a session with the role ADMIN or OPS"} {
		require.Contains(t, html, part)
	}
	for _, link := range strings.Split(html, `href="#`)[1:] {
		name, _, _ := strings.Cut(link, `"`)
		require.Contains(t, html, `id="`+name+`"`)
	}
	for _, never := range []string{"<script", "style=", "<style", "http://", "ZgotmplZ"} {
		require.NotContains(t, html, never)
	}
}

func TestNew_EscapesTheDocument(t *testing.T) {
	t.Parallel()
	h, err := apidocs.New([]byte(`{"openapi":"3.1.0",
		"info":{"title":"<b>","version":"1","description":"a `+"`<i>`"+`<u>"},
		"components":{"schemas":{"X":{"type":"object","properties":{"<p>":{"type":"<q>"}}}}}}`), "")
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/docs", nil))
	require.Contains(t, w.Body.String(), "a <code>&lt;i&gt;</code>&lt;u&gt;")
	for _, never := range []string{"<b>", "<i>", "<u>", "<q>"} {
		require.NotContains(t, w.Body.String(), never)
	}
	_, err = apidocs.New([]byte("{"), "")
	require.Error(t, err)
}
