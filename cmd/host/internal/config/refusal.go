package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/lib/pq"
)

// Refusal tells whether err, of a connection to DATABASE_URL, is one that a repeat gives
// again, and describes it: a wrong password or a parameter that the server does not know,
// and not a server that is down or about to start. With several hosts every one of them
// has to have refused.
func Refusal(err error) (Problem, bool) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		several, ok := e.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		var first Problem
		for i, one := range several.Unwrap() {
			p, refused := Refusal(one)
			if !refused {
				return Problem{}, false
			}
			if i == 0 {
				first = p
			}
		}
		return first, first.Name != ""
	}
	if err == nil {
		return Problem{}, false
	}
	wrong, remedy := refusedByServer(err)
	if wrong == "" {
		wrong, remedy = refusedByDriver(err)
	}
	return Problem{Name: "DATABASE_URL", Wrong: wrong, Remedy: remedy}, wrong != ""
}

var (
	quoted = regexp.MustCompile(`"([^"]*)"`)
	// unsupported is how PgBouncer refuses a parameter.
	unsupported = regexp.MustCompile(`unsupported startup parameter(?: in options)?: (\S+)`)
)

// refusedByServer goes by the SQLSTATE of the answer to the startup packet.
func refusedByServer(err error) (wrong, remedy string) {
	var answer *pq.Error
	if !errors.As(err, &answer) {
		return "", ""
	}
	said := " (" + answer.Message + ", SQLSTATE " + string(answer.Code) + ")"
	named := ""
	if m := quoted.FindStringSubmatch(answer.Message); m != nil {
		named = " " + m[1]
	}
	switch answer.Code {
	case "28P01":
		return "is refused: the password is wrong" + said,
			"write the role's password, with %40 for @, %2F for / and %23 for #"
	case "28000":
		return "is refused: the server does not accept this role from here" + said, "see that the role exists and may log in, that pg_hba.conf has a line for this machine, and that sslmode suits it"
	case "3D000":
		return "names the database" + named + ", which does not exist" + said,
			"create it, or name another one after the last /"
	case "42501":
		return "is refused: the role may not connect or not set a parameter" + said,
			"grant CONNECT on the database, or take the parameter out"
	case "42704":
		return "has the parameter" + named + ", which neither this program nor the server knows" + said, "take it out"
	case "22023", "55P02", "42601":
		return "has a parameter that the server does not take" + said, "correct it, or take it out"
	case "0A000":
		return "asks for what the server does not have" + said, "take min_protocol_version and max_protocol_version out"
	case "08P01":
		if m := unsupported.FindStringSubmatch(answer.Message); m != nil {
			return "has the parameter " + m[1] + ", which the pooler does not take" + said,
				"take it out, or have the pooler ignore it (ignore_startup_parameters)"
		}
	}
	return "", ""
}

// refusedByDriver recognises what the driver refuses: TLS, and files that it is to read.
func refusedByDriver(err error) (wrong, remedy string) {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		alert        tls.AlertError
		record       tls.RecordHeaderError
		file         *fs.PathError
	)
	switch said := " (" + err.Error() + ")"; {
	case errors.Is(err, pq.ErrSSLNotSupported):
		return "demands TLS, and the server has none",
			"switch TLS on at the server; on a network of your own that is private, write sslmode=disable"
	case errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid):
		return "demands a certificate that can be verified, and the server's cannot" + said,
			"name the authority's certificate in sslrootcert, sslrootcert=system for a public one, and the server as the certificate does"
	case errors.As(err, &alert) || errors.As(err, &record):
		return "demands TLS, which the server refuses" + said,
			"see whether it wants a certificate (sslcert, sslkey) or another version of TLS"
	case errors.Is(err, pq.ErrSSLKeyHasWorldPermissions) || errors.Is(err, pq.ErrSSLKeyUnknownOwnership):
		return "names a key that others may read" + said, "chmod 600, or 640 where it is root's"
	case errors.As(err, &file):
		return "names a file that cannot be read" + said,
			"see that sslrootcert, sslcert and sslkey are there and readable"
	case strings.Contains(err.Error(), "pq: unsupported authentication method") ||
		strings.Contains(err.Error(), "pq: unknown authentication response") ||
		strings.Contains(err.Error(), "pq: kerberos error"):
		return "leads to a server that wants a method of authentication which the driver does not know" + said,
			"let the role in by scram-sha-256 (pg_hba.conf)"
	}
	return "", ""
}
