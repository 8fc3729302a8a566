package smtp

import (
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
)

// server is a parsed URL of a mail server.
type server struct {
	host               string
	port               int
	implicitTLS, plain bool
	user, password     string
}

const urlForm = "smtp://user:password@mail.example.com:587 or smtps://user:password@mail.example.com:465"

// parseURL returns errors that do not quote the URL, which has a password.
func parseURL(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return server{}, errors.New("the URL of the mail server is malformed: it is like " + urlForm +
			", with special characters of the password escaped (%40 for @)")
	}
	s := server{host: u.Hostname()}
	switch u.Scheme {
	case "smtp":
		s.port = 587
	case "smtps":
		s.port, s.implicitTLS = 465, true
	default:
		return server{}, errors.New("the scheme of the mail server's URL is unknown: it is like " + urlForm)
	}
	if u.Port() != "" {
		if s.port, err = strconv.Atoi(u.Port()); err != nil || s.port < 1 || s.port > 65535 {
			return server{}, errors.New("the port of the mail server's URL is not between 1 and 65535")
		}
	}
	s.user = u.User.Username()
	s.password, _ = u.User.Password()
	if (s.user == "") != (s.password == "") {
		return server{}, errors.New("the mail server's URL has a user or a password without the other")
	}
	for name, values := range u.Query() {
		switch {
		case name == "tls" && len(values) == 1 && values[0] == "off" && !s.implicitTLS:
			s.plain = true
		case name == "tls" && len(values) == 1 && values[0] == "required":
		default:
			return server{}, errors.New("a parameter of the mail server's URL is unknown: there is tls=required, the " +
				"default, and tls=off for a server on the same machine or a private network")
		}
	}
	if s.plain && s.password != "" {
		return server{}, errors.New("the mail server's URL has a password and tls=off: it would be sent readable")
	}
	return s, nil
}

// ParseAddress parses an e-mail address with an optional name, such as
// "Studio <hello@example.com>". An address without a dot in its domain is an error, unless
// the domain is localhost.
func ParseAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, errors.New("it is no e-mail address, such as Studio <hello@example.com>")
	}
	_, domain, _ := cutLast(a.Address, "@")
	if !strings.Contains(domain, ".") && domain != "localhost" || strings.ContainsAny(a.Address+a.Name, "\r\n\x00") {
		return nil, fmt.Errorf("the domain %q of the address is incomplete", domain)
	}
	return a, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
