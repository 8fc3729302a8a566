package api

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// ownerOr lets the owner of a booking through, who shows the token of the link they were given, and sends everybody else through the guard.
// A wrong token is a booking that does not exist, whoever shows it: no answer tells which ids there are.
func (a *API) ownerOr(guard func(http.Handler) http.Handler, h http.HandlerFunc) http.Handler {
	guarded := guard(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := ownerToken(r)
		switch {
		case token == "":
			guarded.ServeHTTP(w, r)
		case a.opts.Links.Owns(mux.Vars(r)["id"], token):
			h(w, r)
		default:
			a.fail(w, r, errNotFound)
		}
	})
}

// ownerToken reads the token from the header Authorization: Bearer, or from the query.
func ownerToken(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return r.URL.Query().Get("token")
}
