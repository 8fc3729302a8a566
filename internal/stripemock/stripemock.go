// Package stripemock answers the question "would Stripe accept this request?"
// in a test, without a network and without an account. It serves
// github.com/stripe/stripe-mock in the test's own process: unknown and
// malformed parameters are refused by Stripe's published OpenAPI description,
// and nothing is remembered between calls.
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

// Key is an API key that stripe-mock accepts. It wants the form
// sk_test_<anything without an underscore> and nothing more.
const Key = "sk_test_stripemock"

// Start serves stripe-mock on a loopback port until the test ends and returns
// its base URL, to be given to stripe-go as the backend's URL. It keeps no
// state, so one test may call it as often as it likes; the description is read
// once per test binary (the first call pays one to five seconds for it).
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

// Description returns the OpenAPI description that stripe-mock judges by. It is
// shared by all callers of the test binary: read it, do not change it.
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
