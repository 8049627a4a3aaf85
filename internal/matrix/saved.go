package matrix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A saved matrix is JSON that a review can read: one line a cell, no revision and
// no time, so that it changes only where a decision does.
//
//	{"callers": [{"name": "clerk", "status": "valid", "roles": ["clerk"]}, …],
//	 "operations": [{"route": "orders.read", "method": "GET", "path": "/orders/{id:uuid}",
//	   "cells": {"clerk": {"allowed": false, "status": 403, "reasons": ["role_missing"]}, …}}, …]}

type saved struct {
	Callers    []Caller         `json:"callers"`
	Operations []savedOperation `json:"operations"`
}

type savedOperation struct {
	Operation
	Cells map[string]Cell `json:"cells"`
}

// WriteJSON writes the matrix in the saved form.
func (m *Matrix) WriteJSON(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("{\n  \"callers\": [")
	for j := range m.Callers {
		separate(&b, j, "\n    ")
		if err := compact(&b, m.Callers[j]); err != nil {
			return err
		}
	}
	b.WriteString("\n  ],\n  \"operations\": [")
	for i, o := range m.Operations {
		separate(&b, i, "\n    ")
		if err := compact(&b, o); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // the operation's own fields, then its cells
		b.WriteString(",\"cells\":{")
		for j, cell := range m.Cells[i] {
			separate(&b, j, "\n      ")
			if err := compact(&b, m.Callers[j].Name); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := compact(&b, cell); err != nil {
				return err
			}
		}
		b.WriteString("\n    }}")
	}
	b.WriteString("\n  ]\n}\n")
	_, err := w.Write(b.Bytes())
	return err
}

func separate(b *bytes.Buffer, i int, indent string) {
	if i > 0 {
		b.WriteByte(',')
	}
	b.WriteString(indent)
}

// compact writes JSON on one line, and "<" as itself.
func compact(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the encoder's line break
	return nil
}

// ReadJSON reads a saved matrix.
func ReadJSON(text []byte) (*Matrix, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	var s saved
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("not a saved matrix (the output of `authz matrix -o json`): %w", err)
	}
	if len(s.Operations) == 0 || len(s.Callers) == 0 {
		return nil, errors.New("not a saved matrix (the output of `authz matrix -o json`): it has no callers or no operations")
	}
	m := &Matrix{Callers: s.Callers}
	for _, o := range s.Operations {
		row := make([]Cell, len(s.Callers))
		for j, c := range s.Callers {
			cell, ok := o.Cells[c.Name]
			if !ok {
				return nil, fmt.Errorf("%s: no cell for the caller %q", o.Operation, c.Name)
			}
			row[j] = cell
		}
		m.Operations = append(m.Operations, o.Operation)
		m.Cells = append(m.Cells, row)
	}
	return m, nil
}
