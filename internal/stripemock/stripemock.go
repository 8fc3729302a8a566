// Package stripemock tells a test whether Stripe would accept a request, without network
// or account: github.com/stripe/stripe-mock in the test's process refuses unknown and
// malformed parameters by Stripe's published description. Nothing is stored between
// calls.
package stripemock

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"
	"github.com/stripe/stripe-mock/spec"
)

// Key is accepted: sk_test_ and anything without an underscore.
const Key = "sk_test_stripemock"

// Start serves stripe-mock until the test ends, for a stripe-go backend. The description
// is parsed once per test binary, in one to five seconds.
func Start(t testing.TB) (url string) {
	t.Helper()
	stub, err := stub()
	if err != nil {
		t.Fatalf("stripemock: %v", err)
	}
	srv := httptest.NewServer(http.HandlerFunc(stub.HandleRequest))
	t.Cleanup(srv.Close)
	return srv.URL
}

// Description is stripe-mock's. It is shared: do not change it.
func Description(t testing.TB) *spec.Spec {
	t.Helper()
	d, err := description()
	if err != nil {
		t.Fatalf("stripemock: %v", err)
	}
	return d
}

var description = sync.OnceValues(func() (*spec.Spec, error) {
	return server.LoadSpec(embedded.OpenAPISpec, "")
})

var stub = sync.OnceValues(func() (*server.StubServer, error) {
	d, err := description()
	if err != nil {
		return nil, err
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		return nil, err
	}
	return server.NewStubServer(fixtures, d, false, false)
})
