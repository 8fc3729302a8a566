// Package stripemock tells a test whether Stripe would accept a request, without a
// network or an account. It serves github.com/stripe/stripe-mock in the test's process:
// unknown and malformed parameters are refused by Stripe's published OpenAPI description,
// and nothing is stored between calls.
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

// Key is an API key that stripe-mock accepts: sk_test_ followed by anything without an
// underscore.
const Key = "sk_test_stripemock"

// Start serves stripe-mock on a loopback port until the test ends and returns its URL,
// for a stripe-go backend. The description is parsed once per test binary, which takes
// one to five seconds.
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

// Description returns the OpenAPI description that stripe-mock uses. It is shared: do not
// change it.
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
