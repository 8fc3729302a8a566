package embedded_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// xz writes an .xz file without compression, which the standard library cannot:
// https://tukaani.org/xz/xz-file-format.txt.
func xz(data []byte) []byte {
	// The only check that the standard library has, too.
	flags := []byte{0, 1}
	header := []byte{2, 0, 0x21, 1, 0x16, 0, 0, 0} // One filter, LZMA2, with a dictionary of 8 MiB.
	var out, block, index bytes.Buffer
	out.WriteString("\xfd7zXZ\x00")
	out.Write(flags)
	out.Write(sum(flags))

	block.Write(header)
	block.Write(sum(header))
	control := byte(1) // The first chunk resets the dictionary.
	for rest := data; len(rest) > 0; control = 2 {
		chunk := rest[:min(len(rest), 1<<16)]
		rest = rest[len(chunk):]
		block.WriteByte(control)
		_ = binary.Write(&block, binary.BigEndian, uint16(len(chunk)-1))
		block.Write(chunk)
	}
	block.WriteByte(0)
	unpadded := block.Len() + crc32.Size
	pad(&block)
	block.Write(sum(data))
	out.Write(block.Bytes())

	index.Write([]byte{0, 1})
	index.Write(binary.AppendUvarint(nil, uint64(unpadded)))
	index.Write(binary.AppendUvarint(nil, uint64(len(data))))
	pad(&index)
	index.Write(sum(index.Bytes()))
	out.Write(index.Bytes())

	footer := binary.LittleEndian.AppendUint32(nil, uint32(index.Len()/4-1))
	footer = append(footer, flags...)
	out.Write(sum(footer))
	out.Write(footer)
	out.WriteString("YZ")
	return out.Bytes()
}

func sum(data []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)) }

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
