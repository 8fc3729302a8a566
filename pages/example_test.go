package pages_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/pages"
)

// The pages below a prefix of a plain http.ServeMux.
func Example() {
	db, closeDB := testdb.Example()
	defer closeDB()

	p, err := pages.New(deps(db), pages.Options{URL: "https://example.com/booking"})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/booking/", p)
	server := httptest.NewServer(mux)
	defer server.Close()

	res, err := http.Get(server.URL + "/booking/")
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(res.StatusCode)
	fmt.Printf("%s\n", regexp.MustCompile(`<h1>.*</h1>|<form method="post"[^>]*>`).FindAll(page, -1))
	// Output:
	// 200
	// [<h1>Tennis court</h1> <form method="post" action="/booking/book">]
}
