package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"sync"
)

// people are the accounts at ownProvider. Eve was not invited to the service.
var people = []identity{
	{Subject: "person-1", Email: "ada@example.com", EmailVerified: true},
	{Subject: "person-2", Email: "grace@example.com", EmailVerified: true},
	{Subject: "person-3", Email: "eve@example.com", EmailVerified: true},
}

// ownProvider is as much of OpenID Connect as the example needs, without a password: for
// development only.
func ownProvider(mux *http.ServeMux, appURL string) provider {
	p := provider{
		authorizeURL: appURL + "/provider/authorize", tokenURL: appURL + "/provider/token",
		userinfoURL: appURL + "/provider/userinfo", clientID: "example", clientSecret: rand.Text(),
	}
	type grant struct {
		who       identity
		challenge string
	}
	var mu sync.Mutex
	codes, tokens := map[string]grant{}, map[string]identity{}

	mux.HandleFunc("GET /provider/authorize", func(w http.ResponseWriter, r *http.Request) {
		chosen := r.FormValue("person")
		for _, who := range people {
			if who.Subject == chosen && r.FormValue("redirect_uri") == appURL+"/callback" {
				code := rand.Text()
				mu.Lock()
				codes[code] = grant{who, r.FormValue("code_challenge")}
				mu.Unlock()
				answer := url.Values{"code": {code}, "state": {r.FormValue("state")}}
				http.Redirect(w, r, appURL+"/callback?"+answer.Encode(), http.StatusSeeOther)
				return
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>Sign on</title><h1>Sign on as</h1>`)
		for _, who := range people {
			fmt.Fprintf(w, `<p><a href="?%s&amp;person=%s">%s</a></p>`, html.EscapeString(r.URL.RawQuery), who.Subject, who.Email)
		}
	})
	mux.HandleFunc("POST /provider/token", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		code := r.PostFormValue("code")
		granted, known := codes[code]
		delete(codes, code)
		challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !known || r.PostFormValue("client_secret") != p.clientSecret ||
			granted.challenge != base64.RawURLEncoding.EncodeToString(challenge[:]) {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		token := rand.Text()
		tokens[token] = granted.who
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"access_token": token, "token_type": "Bearer"})
	})
	mux.HandleFunc("GET /provider/userinfo", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for token, who := range tokens {
			if r.Header.Get("Authorization") == "Bearer "+token {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(who)
				return
			}
		}
		http.Error(w, "invalid token", http.StatusUnauthorized)
	})
	return p
}
