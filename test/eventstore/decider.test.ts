import { IsBoolean } from 'class-validator';
import { expect, it } from 'vitest';
import { decider, Event, event } from '../../src/index.js';
import { TestApp } from '../../src/testing/index.js';

@Event({ type: 'LightSwitched', version: 1 })
class LightSwitched {
  @IsBoolean() isOn!: boolean;
}

const light = decider({
  initialState: () => ({ isOn: false, switched: 0 }),
  decide(command: 'on' | 'off' | 'toggle', state) {
    const isOn = command === 'toggle' ? !state.isOn : command === 'on';
    if (command !== 'toggle' && isOn === state.isOn) throw new Error(`the light is ${command}`);
    return [event(LightSwitched, { isOn })];
  },
  evolve: (state, happened) =>
    happened instanceof LightSwitched ? { isOn: happened.isOn, switched: state.switched + 1 } : state,
});
const where = { topic: 'lights', stream: 'light' };

it('a decider is executed over its stream', async () => {
  await using app = await TestApp.start({ handlers: [], events: [LightSwitched] });
  const lights = app.decider(light, where);
  expect(app.decider(light, where)).toBe(lights);
  const first = await lights.execute('hall', 'on', { commandId: 'c1' });
  expect(first).toMatchObject({ version: 1, events: [event(LightSwitched, { isOn: true })], alreadyAppended: false });
  await expect(lights.execute('hall', 'on')).rejects.toThrow('the light is on');
  expect(await lights.execute('hall', 'on', { commandId: 'c1' })).toEqual({ ...first, alreadyAppended: true });
  await Promise.all(Array.from({ length: 9 }, () => lights.execute('hall', 'toggle')));
  expect(await lights.load('hall')).toEqual({ isOn: false, switched: 10 });
  expect(await lights.load('cellar')).toEqual({ isOn: false, switched: 0 });
});

it('a state that cannot take its own events refuses before anything is stored', async () => {
  await using app = await TestApp.start({ handlers: [], events: [LightSwitched] });
  const broken = decider({
    initialState: () => 0,
    decide: (_command: 'go') => [event(LightSwitched, { isOn: true })],
    evolve() {
      throw new Error('broken');
    },
  });
  const streams = app.decider(broken, where);
  await expect(streams.execute('1', 'go')).rejects.toThrow('broken');
  expect(await streams.load('1')).toBe(0);
});
