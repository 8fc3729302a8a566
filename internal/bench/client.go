package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// client sends requests over one keep-alive connection. It uses a fraction of the CPU of
// net/http, which the measured programs need.
type client struct {
	net.Conn
	in      *bufio.Reader
	address string
}

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	return &client{conn, bufio.NewReader(conn), address}, err
}

// post sends JSON and returns the status and body of the answer.
func (c *client) post(path, body string, headers ...string) (int, string, error) {
	more := ""
	for _, header := range headers {
		more += header + "\r\n"
	}
	if _, err := io.WriteString(c.Conn, "POST "+path+" HTTP/1.1\r\nHost: "+c.address+
		"\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n"+more+"\r\n"+
		body); err != nil {
		return 0, "", err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return 0, "", err
	}
	var status int
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
		return 0, "", fmt.Errorf("%q is not an HTTP response: %w", line, err)
	}
	length := -1
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return 0, "", err
		}
		name, value, more := strings.Cut(strings.TrimSpace(line), ":")
		if !more {
			break
		}
		if strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, "", err
			}
		}
	}
	if length < 0 {
		return 0, "", fmt.Errorf("response without Content-Length")
	}
	answer := make([]byte, length)
	_, err = io.ReadFull(c.in, answer)
	return status, string(answer), err
}
