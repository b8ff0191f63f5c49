// ASN.1 for PKCS#12: old writers leave lengths open and cut strings into pieces (BER), so the DER reader of the other
// certificate files will not do. Reading throws Pkcs12Problem or an Error of forge; what holds it bounds the bytes.

import forge from 'node-forge';

export type Node = forge.asn1.Asn1;

/** What is wrong, in words for an operator. */
export class Pkcs12Problem extends Error {
  readonly kind: 'password' | 'damaged' | 'other';

  constructor(kind: Pkcs12Problem['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

const { Class, Type } = forge.asn1;

export function parse(bytes: Buffer): Node {
  return forge.asn1.fromDer(bytes.toString('latin1'), true);
}

/** The parts of a sequence, set or tag: at least so many. */
export function partsOf(node: Node | undefined, least = 0): readonly Node[] {
  if (node === undefined || !Array.isArray(node.value) || node.value.length < least) throw damaged();
  return node.value;
}

/** What is inside of an explicit tag. */
export function insideOf(node: Node | undefined): Node {
  const [inside] = partsOf(node, 1);
  if (node?.tagClass !== Class.CONTEXT_SPECIFIC || inside === undefined) throw damaged();
  return inside;
}

/** The bytes of an octet string, also one in pieces. */
export function octetsOf(node: Node | undefined): Buffer {
  if (node === undefined) throw damaged();
  if (typeof node.value === 'string') return Buffer.from(node.value, 'latin1');
  return Buffer.concat(node.value.map(octetsOf));
}

export function oidOf(node: Node | undefined): string {
  if (node?.type !== Type.OID || typeof node.value !== 'string') throw damaged();
  return forge.asn1.derToOid(node.value);
}

export function numberOf(node: Node | undefined): number {
  if (node?.type !== Type.INTEGER || typeof node.value !== 'string' || node.value.length > 6) throw damaged();
  return forge.asn1.derToInteger(node.value);
}

export function isSequence(node: Node | undefined): node is Node {
  return node?.tagClass === Class.UNIVERSAL && node.type === Type.SEQUENCE;
}

export function textOf(node: Node | undefined): string | null {
  return node?.type === Type.BMPSTRING && typeof node.value === 'string' ? node.value : null;
}

export function derOf(node: Node): Buffer {
  return Buffer.from(forge.asn1.toDer(node).getBytes(), 'latin1');
}

export function sequence(...parts: readonly Node[]): Node {
  return forge.asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...parts]);
}

/** Sorted, as DER wants it. */
export function set(...parts: readonly Node[]): Node {
  const sorted = parts.toSorted((one, other) => Buffer.compare(derOf(one), derOf(other)));
  return forge.asn1.create(Class.UNIVERSAL, Type.SET, true, sorted);
}

export function explicit(tag: number, part: Node): Node {
  return forge.asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [part]);
}

export function implicitOctets(tag: number, bytes: Buffer): Node {
  return forge.asn1.create(Class.CONTEXT_SPECIFIC, tag, false, bytes.toString('latin1'));
}

export function octets(bytes: Buffer): Node {
  return primitive(Type.OCTETSTRING, bytes.toString('latin1'));
}

export function oid(dotted: string): Node {
  return primitive(Type.OID, forge.asn1.oidToDer(dotted).getBytes());
}

export function integer(value: number): Node {
  return primitive(Type.INTEGER, forge.asn1.integerToDer(value).getBytes());
}

export function none(): Node {
  return primitive(Type.NULL, '');
}

export function bmpText(text: string): Node {
  return primitive(Type.BMPSTRING, text);
}

function primitive(type: forge.asn1.Type, value: string): Node {
  return forge.asn1.create(Class.UNIVERSAL, type, false, value);
}

export function damaged(): Pkcs12Problem {
  return new Pkcs12Problem('damaged', 'is damaged');
}
