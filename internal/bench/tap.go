package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
)

// statement is the text and the parameters, as SQL literals, that a client sent.
type statement struct {
	query string
	args  []string
}

// tap is a proxy that records the statements of a client, so that pgbench can send the
// same.
type tap struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	noted []statement
}

func newTap(databaseURL string) (*tap, string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	t := &tap{listener: l, server: u.Host}
	u.Host = l.Addr().String()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go t.pass(client)
		}
	}()
	return t, u.String(), nil
}

func (t *tap) close() { _ = t.listener.Close() }

func (t *tap) take() []statement {
	t.mu.Lock()
	defer t.mu.Unlock()
	noted := t.noted
	t.noted = nil
	return noted
}

func (t *tap) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp4", t.server)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	defer func() { _ = server.Close() }()
	// The first message of a connection has no type byte.
	first := true
	named := map[string]string{}
	for {
		head := make([]byte, 5)
		if first {
			head = head[:4]
		}
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if !first {
			t.note(head[0], body, named)
		}
		first = false
		if _, err := server.Write(append(head, body...)); err != nil {
			return
		}
	}
}

func (t *tap) note(kind byte, body []byte, named map[string]string) {
	text := func() string {
		s, rest, _ := strings.Cut(string(body), "\x00")
		body = []byte(rest)
		return s
	}
	number := func() int {
		n := int(int16(binary.BigEndian.Uint16(body)))
		body = body[2:]
		return n
	}
	var s statement
	switch kind {
	case 'P':
		name := text()
		named[name] = text()
		return
	case 'Q':
		s.query = text()
	case 'B':
		text()
		s.query = named[text()]
		formats := make([]int, number())
		for i := range formats {
			formats[i] = number()
		}
		for i := range number() {
			size := int(int32(binary.BigEndian.Uint32(body)))
			body = body[4:]
			switch {
			case size < 0:
				s.args = append(s.args, "NULL")
				continue
			case len(formats) > i && formats[i] == 1 || len(formats) == 1 && formats[0] == 1:
				// Only bytea is sent in binary.
				s.args = append(s.args, `'\x`+hex.EncodeToString(body[:size])+`'`)
			default:
				s.args = append(s.args, "'"+strings.ReplaceAll(string(body[:size]), "'", "''")+"'")
			}
			body = body[size:]
		}
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noted = append(t.noted, s)
}

func (s statement) String() string { return fmt.Sprintf("%.60q %d parameters", s.query, len(s.args)) }
