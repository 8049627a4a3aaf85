package matrix

// Change is a cell that two matrices answer differently.
type Change struct {
	Operation
	Caller string `json:"caller"`
	// Kind is opened (now allowed), closed (no longer), changed (refused
	// otherwise), new or gone (only one of the matrices has the cell).
	Kind string `json:"change"`
	Was  *Cell  `json:"was,omitempty"`
	Is   *Cell  `json:"is,omitempty"`
}

// Diff lists what has changed from one matrix to another: the cells of the new
// one in its order, then those that are gone.
func Diff(was, is *Matrix) []Change {
	changes := []Change{}
	before := was.index()
	for i, row := range is.Cells {
		for j := range row {
			at := place{is.Operations[i].String(), is.Callers[j].Name}
			c := Change{Operation: is.Operations[i], Caller: at.caller, Was: before[at], Is: &row[j]}
			delete(before, at)
			if c.Kind = c.kind(); c.Kind != "" {
				changes = append(changes, c)
			}
		}
	}
	for i, row := range was.Cells {
		for j := range row {
			if cell, gone := before[place{was.Operations[i].String(), was.Callers[j].Name}]; gone {
				changes = append(changes, Change{Operation: was.Operations[i], Caller: was.Callers[j].Name, Kind: "gone", Was: cell})
			}
		}
	}
	return changes
}

func (c *Change) kind() string {
	switch {
	case c.Was == nil:
		return "new"
	case c.Was.equal(*c.Is):
		return ""
	case c.Is.Allowed == c.Was.Allowed:
		return "changed"
	case c.Is.Allowed:
		return "opened"
	}
	return "closed"
}

// place names a cell across matrices.
type place struct{ operation, caller string }

func (m *Matrix) index() map[place]*Cell {
	cells := map[place]*Cell{}
	for i, row := range m.Cells {
		for j := range row {
			cells[place{m.Operations[i].String(), m.Callers[j].Name}] = &row[j]
		}
	}
	return cells
}
