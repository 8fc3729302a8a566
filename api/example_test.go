package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/booking-platform/booking-platform/api"
)

// The API below a prefix of a plain http.ServeMux.
func Example() {
	db, closeDB := exampleDatabase()
	defer closeDB()

	a, err := api.New(deps(db), api.Options{URL: "https://example.com/booking"})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/booking/", a)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the rest of the service") })
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, path := range []string{"/", "/booking/api/resources/tennis/next", "/booking/api/bookings"} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			panic(err)
		}
		_ = res.Body.Close()
		fmt.Println(res.StatusCode, strings.TrimSpace(string(body)))
	}
	// Output:
	// 200 the rest of the service
	// 404 {"error":"not_found","requestId":""}
	// 401 {"error":"unauthorized"}
}
