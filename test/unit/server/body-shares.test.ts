import { describe, expect, it } from 'vitest';
import { BodyShares } from '../../../extension-service/src/server/body-shares.js';

describe('the memory for unfinished bodies', () => {
  it('is taken from the largest body of the peer with the largest share', () => {
    const evicted: string[] = [];
    const shares = new BodyShares(100);
    const open = (peer: string, name: string) => shares.open(peer, () => evicted.push(name));
    open('heavy', 'small').add(10);
    open('heavy', 'large').add(50);
    open('other', 'own').add(35);
    expect(evicted).toEqual([]);
    open('third', 'newcomer').add(6);
    expect(evicted).toEqual(['large']);
  });

  it('never refuses small bodies while larger ones are unfinished, also behind one address', () => {
    const evicted: number[] = [];
    const shares = new BodyShares(100);
    for (let index = 0; index < 20; index += 1) shares.open('proxy', () => evicted.push(index)).add(30);
    expect(evicted).toHaveLength(17);
    const before = evicted.length;
    for (let index = 100; index < 150; index += 1) {
      const small = shares.open('proxy', () => evicted.push(index));
      small.add(1);
      small.close();
    }
    expect(evicted.filter((index) => index >= 100)).toEqual([]);
    expect(evicted).toHaveLength(before);
  });

  it('is released when a body ends', () => {
    const evicted: string[] = [];
    const shares = new BodyShares(100);
    for (let index = 0; index < 50; index += 1) {
      const body = shares.open('peer', () => evicted.push('evicted'));
      body.add(90);
      body.close();
      // Bytes after close() do not count.
      body.add(90);
    }
    expect(evicted).toEqual([]);
  });

  it('rejects the growing body when it is the largest itself', () => {
    const evicted: string[] = [];
    const shares = new BodyShares(100);
    const large = shares.open('peer', () => evicted.push('large'));
    large.add(101);
    large.add(500);
    expect(evicted).toEqual(['large']);
    shares.open('other', () => evicted.push('other')).add(100);
    expect(evicted).toEqual(['large']);
  });
});
