package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/auth"
)

// provider is an OpenID Connect provider, by its discovery document.
type provider struct{ authorizeURL, tokenURL, userinfoURL, clientID, clientSecret string }

// identity is the provider's answer about the person.
type identity struct {
	Subject       string `json:"sub"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
}

// flowCookie keeps the state of a sign-on, from /login to /callback.
const flowCookie = "sign_on"

// login redirects to the provider. RequirePage sets the parameter next.
func (s *service) login(w http.ResponseWriter, r *http.Request) {
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: flowCookie, Path: "/callback", MaxAge: 600, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.url, "https://"),
		Value:  url.Values{"state": {state}, "verifier": {verifier}, "next": {r.FormValue("next")}}.Encode(),
	})
	challenge := sha256.Sum256([]byte(verifier))
	http.Redirect(w, r, s.provider.authorizeURL+"?"+url.Values{
		"response_type": {"code"}, "scope": {"openid email"}, "state": {state},
		"client_id": {s.provider.clientID}, "redirect_uri": {s.url + "/callback"},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}.Encode(), http.StatusSeeOther)
}

func (s *service) callback(w http.ResponseWriter, r *http.Request) {
	var flow url.Values
	if cookie, err := r.Cookie(flowCookie); err == nil {
		flow, _ = url.ParseQuery(cookie.Value)
	}
	if state := flow.Get("state"); state == "" || state != r.FormValue("state") {
		http.Error(w, "start again at /login", http.StatusBadRequest)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: flowCookie, Path: "/callback", MaxAge: -1})
	who, err := s.provider.identify(r.Context(), r.FormValue("code"), flow.Get("verifier"), s.url+"/callback")
	if err != nil {
		http.Error(w, "the sign-on failed; start again at /login", http.StatusBadGateway)
		return
	}
	id, err := s.users.signedOn(r.Context(), who)
	if errors.Is(err, sql.ErrNoRows) {
		http.Error(w, "this account has no access here", http.StatusForbidden)
		return
	}
	if err == nil {
		err = s.auth.Start(r.Context(), w, r, id)
	}
	if err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, auth.SafeNext(flow.Get("next")), http.StatusSeeOther)
}

// identify exchanges the code for a token and asks whose it is. The provider itself
// answers, over TLS, so no other signature is needed.
func (p provider) identify(ctx context.Context, code, verifier, redirectURI string) (identity, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier},
		"redirect_uri": {redirectURI}, "client_id": {p.clientID}, "client_secret": {p.clientSecret},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return identity{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := fetch(req, &token); err != nil {
		return identity{}, err
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodGet, p.userinfoURL, nil)
	if err != nil {
		return identity{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	var who identity
	if err := fetch(req, &who); err != nil {
		return identity{}, err
	}
	if who.Subject == "" {
		return identity{}, errors.New("the provider names no subject")
	}
	return who, nil
}

var client = &http.Client{Timeout: 10 * time.Second}

func fetch(req *http.Request, into any) error {
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", req.URL.Host, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(into)
}
