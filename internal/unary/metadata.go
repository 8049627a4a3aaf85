package unary

// Count is how many header fields of the call have that name, in lower case.
func (m Metadata) Count(name string) int {
	if m.head == nil {
		return 0
	}
	n := 0
	for i := range m.head.fields {
		if m.head.fields[i].Name == name {
			n++
		}
	}
	return n
}
