package api

import "net/http"

// What the tests, in their own package, see of this one.
var LocalTime = localTime

// Fail answers with an error.
func (a *API) Fail(w http.ResponseWriter, r *http.Request, err error) { a.fail(w, r, err) }
